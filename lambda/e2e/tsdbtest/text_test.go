package tsdbtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

func TestParseText(t *testing.T) {
	t.Parallel()
	const text = `# HELP a What it is.
# TYPE a gauge
a{y="2",x="1",empty=""} 3
a{x="with \"quotes\" and \\"} 1.601994911e+09

b 0
`
	parsed, err := ParseText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Vector{
		`a{x="1",y="2"}`:                3,
		`a{x="with \"quotes\" and \\"}`: 1601994911,
		"b":                             0,
	}
	if diff := cmp.Diff(want, VectorOf(parsed)); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}

	scraped := VectorOf(WithTarget(parsed, "job", "j", "x", "target"))
	want = Vector{`a{job="j",x="target",y="2"}`: 3, `a{job="j",x="target"}`: 1601994911, `b{job="j",x="target"}`: 0}
	if diff := cmp.Diff(want, scraped); diff != "" {
		t.Errorf("scraped (-want +got):\n%s", diff)
	}
}

func TestParseTextRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"no value":       {"a{x=\"1\"}\n", "parse text after 0 series"},
		"open braces":    {"a 1\nb{x=\"1\" 2\n", "parse text after 1 series"},
		"timestamp":      {"a 1 1748854800000\n", "a has a timestamp"},
		"twice":          {"a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\n", "appears twice"},
		"twice by empty": {"a 1\na{x=\"\"} 1\n", "a appears twice"},
	}
	for name, test := range tests {
		if got, err := ParseText([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, got, err, test.want)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		labels labels.Labels
		want   string
	}{
		{labels.EmptyLabels(), "{}"},
		{labels.FromStrings(model.MetricNameLabel, "a"), "a"},
		{labels.FromStrings(model.MetricNameLabel, "a", "x", ""), "a"},
		{labels.FromStrings("y", "2", "x", "1"), `{x="1",y="2"}`},
		{labels.FromStrings(model.MetricNameLabel, "a", "x", `"1"`), `a{x="\"1\""}`},
	}
	for _, test := range tests {
		if got := Key(test.labels); got != test.want {
			t.Errorf("Key(%s) = %s, want %s", test.labels, got, test.want)
		}
	}
	if got, want := KeyOf("a", "y", "2", "x", "1", "z", ""), `a{x="1",y="2"}`; got != want {
		t.Errorf("KeyOf = %s, want %s", got, want)
	}
	if got, want := KeyOf(""), "{}"; got != want {
		t.Errorf("KeyOf of nothing = %s, want %s", got, want)
	}
}

func TestVectorString(t *testing.T) {
	t.Parallel()
	v := Vector{"b": 1.5, `a{x="1"}`: 2}
	if got, want := v.String(), "a{x=\"1\"} 2\nb 1.5\n"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
