package running

import (
	"encoding/json"
	"errors"
	"io"
)

// labels are those that name an image.
var labels = []string{"image_id", "image_spec", "image"}

// What can be wrong with an answer. The errors quote nothing of it.
var (
	errNoVector = errors.New("it is no successful result that is a vector")
	errPartial  = errors.New("the store warns that it is not complete")
	errFull     = errors.New("it has more images than are kept")
)

// decode reads an answer row by row, so that it is never in memory as a whole. The members of
// an object can be in any order. It is an error if the answer is not a whole and valid vector,
// or the store says that it is not all.
func decode(r io.Reader, saw func(string) bool) error {
	d := decoder{Decoder: json.NewDecoder(r), saw: saw}
	switch err := d.object(d.member); {
	case errors.Is(err, errFull):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case err != nil, d.status != "success", d.kind != "vector", !d.listed:
		return errNoVector
	case len(d.warnings) > 0 || d.partial:
		return errPartial
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errNoVector // something follows
	}
	return nil
}

type decoder struct {
	*json.Decoder
	saw func(string) bool

	status, kind string
	entered      bool     // the data were there
	listed       bool     // and the result
	warnings     []string // of Thanos: a store did not answer
	partial      bool     // VictoriaMetrics says the same
}

// member reads a member of the answer or of its data, whose names are distinct.
func (d *decoder) member(name string) error {
	switch name {
	case "status":
		return d.Decode(&d.status)
	case "data":
		if d.entered {
			return errNoVector // within itself without an end, it would fill the stack
		}
		d.entered = true
		return d.object(d.member)
	case "resultType":
		return d.Decode(&d.kind)
	case "result":
		d.listed = true
		return d.rows()
	case "warnings":
		return d.Decode(&d.warnings)
	case "isPartial":
		return d.Decode(&d.partial)
	}
	var skipped json.RawMessage
	return d.Decode(&skipped)
}

func (d *decoder) rows() error {
	if err := d.delim('['); err != nil {
		return err
	}
	for d.More() {
		var row struct {
			Metric map[string]string
			Value  []json.RawMessage
		}
		if err := d.Decode(&row); err != nil {
			return err
		}
		if row.Metric == nil || len(row.Value) != 2 {
			return errNoVector
		}
		for _, label := range labels {
			if text := row.Metric[label]; text != "" && !d.saw(text) {
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
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string) // it is one: the tokens are those of valid JSON
		if err := member(text); err != nil {
			return err
		}
	}
	return d.delim('}')
}

func (d *decoder) delim(want json.Delim) error {
	token, err := d.Token()
	if err == nil && token != want {
		err = errNoVector
	}
	return err
}
