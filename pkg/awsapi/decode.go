package awsapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Bounds of what a response is decoded to: "{}," is three bytes, and a record in memory
// hundreds. A page has at most 1,000 records. See docs/limits.md.
const (
	maxStructures = 5_000
	maxElements   = 500_000 // of all lists and maps
)

// Checked returns a service's protocol that decodes responses within bounds, and values
// that the SDK would distort to ones that cannot be true: a time out of range, for which the
// SDK returns any other one, and NaN, at which it panics, become a time that ValidTime
// refuses; a null or too large count, which would be 0 or an error, becomes -1.
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
	checked := &checkedDecoder{ShapeDeserializer: d}
	if err := o.Deserializable.Deserialize(checked); checked.err == nil && err != nil {
		return err
	}
	return checked.err
}

// checkedDecoder is the SDK's decoder with these checks.
type checkedDecoder struct {
	smithy.ShapeDeserializer
	structures, elements int
	null                 bool // the next integer is null
	// err is the first error within a list or map, which smithy.ReadList and
	// smithy.ReadMap drop (smithy-go v1.28.8).
	err error
}

// failed keeps an error.
func (d *checkedDecoder) failed(err error) error {
	if d.err == nil {
		d.err = err
	}
	return d.err
}

// ReadListItem counts the elements of lists.
func (d *checkedDecoder) ReadListItem(s *smithy.Schema) (bool, error) {
	if d.err != nil {
		return false, d.err
	}
	more, err := d.ShapeDeserializer.ReadListItem(s)
	if err == nil && more {
		err = d.count(s)
	}
	if err != nil {
		return false, d.failed(err)
	}
	return more, nil
}

// ReadMapKey counts the elements of maps.
func (d *checkedDecoder) ReadMapKey(s *smithy.Schema) (string, bool, error) {
	if d.err != nil {
		return "", false, d.err
	}
	key, more, err := d.ShapeDeserializer.ReadMapKey(s)
	if err == nil && more {
		err = d.count(s)
	}
	if err != nil {
		return "", false, d.failed(err)
	}
	return key, more, nil
}

func (d *checkedDecoder) count(s *smithy.Schema) error {
	if d.elements++; s != nil && (s.Type() == smithy.ShapeTypeStructure || s.Type() == smithy.ShapeTypeUnion) {
		d.structures++
	}
	if d.structures > maxStructures || d.elements > maxElements {
		return fmt.Errorf("%w: more than %d records or %d elements of lists", ErrTooLarge, maxStructures, maxElements)
	}
	return nil
}

// ReadStructMember reads nothing more after an error.
func (d *checkedDecoder) ReadStructMember() (*smithy.Schema, error) {
	if d.err != nil {
		return nil, d.err
	}
	return d.ShapeDeserializer.ReadStructMember()
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
