package emf_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// parsed is a document as a reader of the specification sees it.
type parsed struct {
	root      map[string]any
	timestamp int64
	namespace string
	names     []string // of the dimensions
	units     map[string]string
}

// units of https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
var units = strings.Fields(`Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits
	Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second
	Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second None`)

// parse checks a log line against the specification's schema and text, and against
// the CloudWatch API's rules for names and values.
func parse(line []byte) (*parsed, error) {
	if len(line) >= 256<<10 || bytes.IndexByte(line, '\n') != len(line)-1 {
		return nil, fmt.Errorf("%d bytes are not one line below 256 KB", len(line))
	}
	root, err := object(line)
	if err != nil {
		return nil, err
	}
	var meta struct {
		AWS struct {
			Timestamp         *int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []map[string]string
			}
		} `json:"_aws"`
	}
	if err := json.Unmarshal(line, &meta); err != nil {
		return nil, err
	}
	if meta.AWS.Timestamp == nil || len(meta.AWS.CloudWatchMetrics) != 1 {
		return nil, fmt.Errorf("_aws is %v, want a Timestamp and one directive", root["_aws"])
	}
	directive := meta.AWS.CloudWatchMetrics[0]
	p := &parsed{root: root, timestamp: *meta.AWS.Timestamp, namespace: directive.Namespace, units: map[string]string{}}
	if err := p.checkText("namespace", p.namespace, 255); err != nil {
		return nil, err
	}
	if len(directive.Dimensions) != 1 || directive.Dimensions[0] == nil || len(directive.Dimensions[0]) > 30 {
		return nil, fmt.Errorf("dimensions %v, want one set of at most 30", directive.Dimensions)
	}
	for _, name := range directive.Dimensions[0] {
		value, ok := root[name].(string)
		if !ok || slices.Contains(p.names, name) {
			return nil, fmt.Errorf("dimension %q is no text member of the root, or there twice", name)
		}
		if err := cmp.Or(p.checkText("dimension", name, 250), p.checkText("value of a dimension", "_"+value, 1025)); err != nil {
			return nil, err
		}
		if strings.TrimSpace(value) == "" {
			return nil, fmt.Errorf("dimension %q has the value %q", name, value)
		}
		p.names = append(p.names, name)
	}
	if n := len(directive.Metrics); n == 0 || n > 100 {
		return nil, fmt.Errorf("%d metrics", n)
	}
	for _, m := range directive.Metrics {
		name := m["Name"]
		value, ok := root[name].(json.Number)
		if !ok || p.units[name] != "" || !slices.Contains(units, m["Unit"]) || len(m) != 2 {
			return nil, fmt.Errorf("metric %v has no number in the root, no unit, or is there twice", m)
		}
		if v, err := value.Float64(); err != nil || math.Abs(v) > math.Ldexp(1, 360) {
			return nil, fmt.Errorf("metric %q has the value %v", name, value)
		}
		if err := p.checkText("metric", name, 255); err != nil {
			return nil, err
		}
		p.units[name] = m["Unit"]
	}
	if len(root) != 1+len(p.names)+len(p.units) {
		return nil, fmt.Errorf("members of the root that nothing refers to: %v", root)
	}
	return p, nil
}

// object decodes an object none of whose own members occurs twice.
func object(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("no object: %v, %w", token, err)
	}
	members := map[string]any{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("member %q twice", name)
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("something after the object: %w", err)
	}
	return members, nil
}

func (p *parsed) checkText(what, text string, most int) error {
	if len(text) == 0 || len(text) > most || text[0] == ':' || strings.TrimSpace(text) == "" ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%s %q", what, text)
	}
	return nil
}

// The check itself must see what is wrong.
func TestParseSeesFaults(t *testing.T) {
	t.Parallel()
	const good = `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[["d"]],"Metrics":[{"Name":"m","Unit":"Count"}]}]},"d":"x","m":1}` + "\n"
	if p, err := parse([]byte(good)); err != nil || p.units["m"] != "Count" || p.timestamp != time.UnixMilli(1).UnixMilli() {
		t.Fatalf("a good document: %v, %v", p, err)
	}
	for _, change := range [][2]string{
		{"\n", ""},
		{"\n", "\n\n"},
		{"\n", "{}\n"},
		{`"_aws"`, `"aws"`},
		{`"Timestamp":1,`, ""},
		{`"Timestamp":1,`, `"Timestamp":"1",`},
		{`"Timestamp":1,`, `"Timestamp":1.5,`},
		{`"Namespace":"n"`, `"Namespace":""`},
		{`"Namespace":"n"`, `"Namespace":":n"`},
		{`[["d"]]`, `[]`},
		{`[["d"]]`, `["d"]`},
		{`[["d"]]`, `[["e"]]`},
		{`[["d"]]`, `[["d","d"]]`},
		{`[["d"]]`, `[["d"],["d"]]`},
		{`"d":"x"`, `"d":1`},
		{`"d":"x"`, `"d":""`},
		{`"d":"x"`, `"d":" "`},
		{`"d":"x"`, `"d":"é"`},
		{`"d":"x"`, `"d":"` + strings.Repeat("x", 1025) + `"`},
		{`"d":"x"`, `"d":"x","e":"x"`},
		{`[{"Name":"m","Unit":"Count"}]`, `[]`},
		{`"Name":"m",`, ""},
		{`"Count"`, `"Counts"`},
		{`"Count"}`, `"Count"},{"Name":"m","Unit":"Count"}`},
		{`"m":1`, `"m":"1"`},
		{`"m":1`, `"m":null`},
		{`"m":1`, `"m":1e109`},
		{`"m":1`, `"m":1,"m":1`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%q is not in the good document", change[0])
		}
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("not seen: %s", bad)
		}
	}
}
