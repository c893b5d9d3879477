package running

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// whole is an answer as Prometheus writes it, with two images.
const whole = `{"status":"success","data":{"resultType":"vector","result":[` +
	`{"metric":{"image_id":"h/a@sha256:1","image_spec":"h/a:v1","image":"h/a:v1"},"value":[1700000000.123,"1"]},` +
	`{"metric":{"__name__":"x","image":"h/b:v2","IMAGE":"no","images":"no"},"value":[1700000000,"1"]}]}}`

var wholeImages = []string{"h/a@sha256:1", "h/a:v1", "h/a:v1", "h/b:v2"}

func TestDecode(t *testing.T) {
	t.Parallel()
	rows := `[{"metric":{"image":"h/a:v1"},"value":[1,"1"]}]`
	one := []string{"h/a:v1"}
	for _, c := range []struct {
		name, answer string
		images       []string
		err          string // part of it; empty for none
	}{
		{"Prometheus's", whole, wholeImages, ""},
		{"VictoriaMetrics'", `{"status":"success","isPartial":false,"data":{"resultType":"vector","result":` + rows + `},"stats":{"seriesFetched":"1"}}`, one, ""},
		{"none", `{"status":"success","data":{"resultType":"vector","result":[]}}`, nil, ""},
		{"a row without images", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`, nil, ""},
		{
			"in another order, with members unknown and notes",
			" {\"infos\":[\"PromQL info\"],\"data\":{\"stats\":{\"a\":[{}]},\"result\":" + strings.Replace(rows, `"metric":{"image":"h/a:v1"},"value":[1,"1"]`, `"value":[1,"1"],"x":[],"metric":{"image":"h/a:v1"}`, 1) +
				",\"resultType\":\"vector\"},\"x\":null,\"warnings\":[],\"status\":\"success\"}\n", one, "",
		},
		{"of an error", `{"status":"error","errorType":"bad_data","error":"SECRET"}`, nil, "no successful result"},
		{"of an error with data", `{"status":"error","data":{"resultType":"vector","result":` + rows + `}}`, one, "no successful result"},
		{"a matrix", `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}`, nil, "no successful result"},
		{"an empty matrix", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, nil, "no successful result"},
		{"a scalar", `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, nil, "no successful result"},
		{"no result", `{"status":"success","data":{"resultType":"vector"}}`, nil, "no successful result"},
		{"no list", `{"status":"success","data":{"resultType":"vector","result":null}}`, nil, "no successful result"},
		{"no data", `{"status":"success","data":null}`, nil, "no successful result"},
		{"no metric", `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]}]}}`, nil, "no successful result"},
		{"no value", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"image":"a"}}]}}`, nil, "no successful result"},
		{"a row that is null", `{"status":"success","data":{"resultType":"vector","result":[null]}}`, nil, "no successful result"},
		{"a label that is a number", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"image":1},"value":[1,"1"]}]}}`, nil, "no successful result"},
		{"a part of the stores", `{"status":"success","data":{"resultType":"vector","result":` + rows + `},"warnings":["SECRET"]}`, one, "not complete"},
		{"a part of VictoriaMetrics", `{"status":"success","isPartial":true,"data":{"resultType":"vector","result":` + rows + `}}`, one, "not complete"},
		{"with more after it", whole + "{}", wholeImages, "no successful result"},
		{"with garbage after it", whole + "\x00", wholeImages, "no successful result"},
		{"nothing", "", nil, "unexpected EOF"},
		{"no object", `[]`, nil, "no successful result"},
		{"HTML", `<html>SECRET</html>`, nil, "no successful result"},
		{"data within data", strings.Repeat(`{"data":`, 1<<20), nil, "no successful result"},
		{"cut off", whole[:len(whole)-1], wholeImages, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var images []string
			err := decode(iotest.OneByteReader(strings.NewReader(c.answer)), func(image string) bool {
				images = append(images, image)
				return true
			})
			if !slices.Equal(images, c.images) {
				t.Errorf("images %q, want %q", images, c.images)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

// Wherever an answer is cut off, that is an error, and what was there counts.
func TestDecodeCut(t *testing.T) {
	t.Parallel()
	seen := 0
	for n := range len(whole) {
		var images []string
		err := decode(strings.NewReader(whole[:n]), func(image string) bool {
			images = append(images, image)
			return true
		})
		if err == nil {
			t.Fatalf("%q is taken for a whole answer", whole[:n])
		}
		if len(images) < seen || !slices.Equal(images, wholeImages[:len(images)]) {
			t.Fatalf("of %q: images %q", whole[:n], images)
		}
		seen = len(images)
	}
	if seen != len(wholeImages) {
		t.Errorf("%d images before the end, want %d", seen, len(wholeImages))
	}
}

func TestDecodeFull(t *testing.T) {
	t.Parallel()
	n := 0
	if err := decode(strings.NewReader(whole), func(string) bool { n++; return n < 3 }); err == nil || n != 3 {
		t.Errorf("error %v after %d images", err, n)
	}
}

// FuzzDecode: what is taken for an answer is one, as a whole decoder reads it, with all its
// images.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"status":"success","data":{"result":[],"resultType":"vector"},"data":{}}`))
	f.Add([]byte(`{"status":"success","isPartial":true,"warnings":["w"],"data":{"resultType":"vector","result":[{"metric":{"image":""},"value":[1,"1"]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var images []string
		err := decode(bytes.NewReader(text), func(image string) bool {
			if image == "" {
				t.Error("an empty image")
			}
			images = append(images, image)
			return true
		})
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil || string(all["status"]) == "" {
			t.Fatalf("%q is no answer: %v", text, err)
		}
		for _, image := range images {
			quoted, _ := json.Marshal(image)
			if plain := strings.Trim(string(quoted), `"`); !strings.Contains(plain, `\`) && !bytes.Contains(text, []byte(`\`)) && !bytes.Contains(text, []byte(image)) {
				t.Errorf("%q is not in %q", image, text)
			}
		}
	})
}
