package awsapi

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Checked returns a service's protocol that decodes values which the SDK would distort to
// ones that cannot be true: a time out of range, for which the SDK returns any other one, and
// NaN, at which it panics, become a time that ValidTime refuses; a null or too large count,
// which would be 0 or an error, becomes -1.
func Checked(protocol smithyhttp.ClientProtocol) smithyhttp.ClientProtocol {
	return checkedProtocol{protocol}
}

type checkedProtocol struct{ smithyhttp.ClientProtocol }

// DeserializeResponse decodes a response.
func (p checkedProtocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry,
	response *smithyhttp.Response, out smithy.Deserializable,
) error {
	return p.ClientProtocol.DeserializeResponse(ctx, schema, types, response, checkedOutput{out})
}

type checkedOutput struct{ smithy.Deserializable }

// Deserialize decodes an operation's output.
func (o checkedOutput) Deserialize(d smithy.ShapeDeserializer) error {
	return o.Deserializable.Deserialize(&checkedDecoder{ShapeDeserializer: d})
}

// checkedDecoder is the SDK's decoder with these checks.
type checkedDecoder struct {
	smithy.ShapeDeserializer
	null bool // the next integer is null
}

// ReadNil is called for the elements of lists and maps. Of these, a null integer is read by
// ReadInt32.
func (d *checkedDecoder) ReadNil(s *smithy.Schema) (bool, error) {
	null, err := d.ShapeDeserializer.ReadNil(s)
	if err == nil && null && s != nil && s.Type() == smithy.ShapeTypeInteger {
		d.null = true
		return false, nil
	}
	return null, err
}

// ReadInt32 reads a count.
func (d *checkedDecoder) ReadInt32(s *smithy.Schema, v *int32) error {
	if d.null {
		d.null, *v = false, -1
		return nil
	}
	var n int64
	if err := d.ShapeDeserializer.ReadInt64(s, &n); err != nil {
		return err
	}
	if *v = int32(n); int64(*v) != n {
		*v = -1
	}
	return nil
}

// ReadTime reads a number of seconds. The SDK keeps milliseconds.
func (d *checkedDecoder) ReadTime(s *smithy.Schema, v *time.Time) error {
	if format, ok := smithy.SchemaTrait[*traits.TimestampFormat](s); ok && format.Format != "epoch-seconds" {
		return d.ShapeDeserializer.ReadTime(s, v)
	}
	var seconds float64
	if err := d.ShapeDeserializer.ReadFloat64(s, &seconds); err != nil && !errors.Is(err, strconv.ErrRange) {
		return err
	}
	if math.Abs(seconds) < float64(latest.Unix()) { // false for NaN
		*v = time.UnixMilli(int64(seconds * 1000)).UTC()
	} else {
		*v = latest
	}
	return nil
}
