package running

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// labels are those that name an image.
var labels = []string{"image_id", "image_spec", "image"}

// errFull means that there is no room for more images.
var errFull = errors.New("it has more images than are kept")

// row is an element of a vector.
type row struct {
	Metric map[string]string `json:"metric"`
	Value  []json.RawMessage `json:"value"`
}

// decode reads an answer row by row, so that it is never in memory as a whole. The members of
// an object can be in any order. It is an error if the answer is not a whole and valid vector,
// or the store says that it is not all. Errors quote nothing of it.
func decode(r io.Reader, saw func(string) bool) error {
	d := decoder{json: json.NewDecoder(r), saw: saw}
	err := d.object(func(name string) error {
		switch name {
		case "status":
			return d.json.Decode(&d.status)
		case "data":
			return d.object(d.data)
		case "warnings": // Thanos: a store did not answer
			return d.json.Decode(&d.warnings)
		case "isPartial": // VictoriaMetrics
			return d.json.Decode(&d.partial)
		}
		return d.skip()
	})
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &kind):
		return errors.New("it is not the JSON of a query's result")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case d.status != "success" || d.kind != "vector" || !d.listed:
		return errors.New("it is no successful result that is a vector")
	case len(d.warnings) > 0 || d.partial:
		return errors.New("the store warns that it is not complete")
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the result")
	}
	return nil
}

type decoder struct {
	json         *json.Decoder
	saw          func(string) bool
	status, kind string
	listed       bool // the result was there
	warnings     []string
	partial      bool
}

// data reads a member of the data.
func (d *decoder) data(name string) error {
	switch name {
	case "resultType":
		return d.json.Decode(&d.kind)
	case "result":
		d.listed = true
		return d.rows()
	}
	return d.skip()
}

func (d *decoder) rows() error {
	if err := d.delim('['); err != nil {
		return err
	}
	for d.json.More() {
		var r row
		if err := d.json.Decode(&r); err != nil {
			return err
		}
		if r.Metric == nil || len(r.Value) != 2 {
			return errors.New("a row is no metric with a value")
		}
		for _, label := range labels {
			if text := r.Metric[label]; text != "" && !d.saw(text) {
				return errFull
			}
		}
	}
	return d.delim(']')
}

// object reads an object, calling member with the name of each member to read its value.
func (d *decoder) object(member func(name string) error) error {
	if err := d.delim('{'); err != nil {
		return err
	}
	for d.json.More() {
		name, err := d.json.Token()
		if err != nil {
			return err
		}
		text, ok := name.(string)
		if !ok {
			return errors.New("a name is no string")
		}
		if err := member(text); err != nil {
			return err
		}
	}
	return d.delim('}')
}

func (d *decoder) delim(want json.Delim) error {
	token, err := d.json.Token()
	if err == nil && token != want {
		err = fmt.Errorf("it is no result of a query: no %s where one has to be", want)
	}
	return err
}

func (d *decoder) skip() error {
	var skipped json.RawMessage
	return d.json.Decode(&skipped)
}
