package remotewrite

import (
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func TestRules(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name   string
		labels []string
		want   []string // nil if refused
		fault  fault
	}{
		{"name only", []string{"__name__", "up"}, []string{"__name__", "up"}, fault{}},
		{"sorted", []string{"__name__", "up", "a", "1", "b", "2"}, []string{"__name__", "up", "a", "1", "b", "2"}, fault{}},
		{"upper case sorts first", []string{"A", "1", "__name__", "up", "a", "2"}, []string{"A", "1", "__name__", "up", "a", "2"}, fault{}},
		{"not sorted", []string{"b", "2", "a", "1", "__name__", "up"}, []string{"__name__", "up", "a", "1", "b", "2"}, fault{}},
		{"empty value", []string{"__name__", "up", "a", "", "b", "2"}, []string{"__name__", "up", "b", "2"}, fault{}},
		{"all other values empty", []string{"__name__", "up", "a", "", "b", ""}, []string{"__name__", "up"}, fault{}},
		{"empty value, not sorted", []string{"c", "3", "b", "", "__name__", "up"}, []string{"__name__", "up", "c", "3"}, fault{}},
		{"empty value under a bad name", []string{"__name__", "up", "a-b", ""}, []string{"__name__", "up"}, fault{}},
		{"duplicate, one empty", []string{"__name__", "up", "a", "", "a", "1"}, []string{"__name__", "up", "a", "1"}, fault{}},
		{"colon in the metric name", []string{"__name__", ":a:b"}, []string{"__name__", ":a:b"}, fault{}},
		{"longest name", []string{"__name__", "up", long(1024), "1"}, []string{"__name__", "up", long(1024), "1"}, fault{}},
		{"longest value", []string{"__name__", "up", "a", long(2048)}, []string{"__name__", "up", "a", long(2048)}, fault{}},
		{"longest metric name", []string{"__name__", long(2048)}, []string{"__name__", long(2048)}, fault{}},
		{"UTF-8 value", []string{"__name__", "up", "a", "ü\x00\n\""}, []string{"__name__", "up", "a", "ü\x00\n\""}, fault{}},

		{"no labels", nil, nil, fault{NoMetricName, "__name__", 0}},
		{"no metric name", []string{"a", "1"}, nil, fault{NoMetricName, "__name__", 0}},
		{"empty metric name", []string{"__name__", "", "a", "1"}, nil, fault{NoMetricName, "__name__", 0}},
		{"metric name with a dash", []string{"__name__", "a-b"}, nil, fault{InvalidMetricName, "__name__", 3}},
		{"metric name from a digit", []string{"__name__", "1a"}, nil, fault{InvalidMetricName, "__name__", 2}},
		{"metric name with a letter beyond ASCII", []string{"__name__", "ü"}, nil, fault{InvalidMetricName, "__name__", 2}},
		{"metric name too long", []string{"__name__", long(2049)}, nil, fault{LabelValueTooLong, "__name__", 2049}},
		{"label name with a dash", []string{"__name__", "up", "a-b", "1"}, nil, fault{InvalidLabelName, "a-b", 3}},
		{"label name with a colon", []string{"__name__", "up", "a:b", "1"}, nil, fault{InvalidLabelName, "a:b", 3}},
		{"label name from a digit", []string{"0", "1", "__name__", "up"}, nil, fault{InvalidLabelName, "0", 1}},
		{"empty label name", []string{"", "1", "__name__", "up"}, nil, fault{InvalidLabelName, "", 0}},
		{"label name too long", []string{"__name__", "up", long(1025), "1"}, nil, fault{LabelNameTooLong, long(1025), 1025}},
		{"duplicate", []string{"__name__", "up", "a", "1", "a", "2"}, nil, fault{DuplicateLabel, "a", 1}},
		{"duplicate, apart", []string{"a", "1", "__name__", "up", "a", "1"}, nil, fault{DuplicateLabel, "a", 1}},
		{"duplicate metric name", []string{"__name__", "up", "__name__", "up"}, nil, fault{DuplicateLabel, "__name__", 8}},
		{"value too long", []string{"__name__", "up", "a", long(2049)}, nil, fault{LabelValueTooLong, "a", 2049}},
		{"value not UTF-8", []string{"__name__", "up", "a", "x\xff"}, nil, fault{InvalidUTF8, "a", 2}},
		{"value ends within a rune", []string{"__name__", "up", "a", "x\xc3"}, nil, fault{InvalidUTF8, "a", 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rules
			// The second time the shape is known, and after a series of another shape
			// it no longer is. The answer is the same.
			for range 2 {
				for range 2 {
					checkRules(t, &r, tt.labels, tt.want, tt.fault)
				}
				checkRules(t, &r, []string{"__name__", "other", "z", "1"}, []string{"__name__", "other", "z", "1"}, fault{})
			}
		})
	}
}

func checkRules(t *testing.T, r *rules, labels, want []string, wantFault fault) {
	t.Helper()
	r.begin()
	given := gauge(0, labels...).Labels
	before := gauge(0, labels...).Labels
	got, f := r.check(metrics.Series{Labels: given})
	if f != wantFault {
		t.Errorf("%q: fault %+v, want %+v", labels, f, wantFault)
	}
	if f.reason == "" {
		if diff := cmp.Diff(gauge(0, want...).Labels, append([]metrics.Label(nil), got...)); diff != "" {
			t.Errorf("%q: %s", labels, diff)
		}
	} else if got != nil {
		t.Errorf("%q: both labels and a fault", labels)
	}
	if diff := cmp.Diff(before, given); diff != "" {
		t.Errorf("the caller's labels were changed: %s", diff)
	}
}

// TestRulesMemory: the iterator builds series in place, so what the rules
// remember of one must not be a view of its memory.
func TestRulesMemory(t *testing.T) {
	t.Parallel()
	name, metric := []byte("tag"), []byte("up")
	view := func(b []byte) string { return unsafe.String(&b[0], len(b)) }
	series := []metrics.Label{{Name: "__name__", Value: view(metric)}, {Name: view(name), Value: "1"}}
	var r rules
	if _, f := r.check(metrics.Series{Labels: series}); f.reason != "" {
		t.Fatal(f)
	}
	r.begin()
	copy(name, "t-g")
	if _, f := r.check(metrics.Series{Labels: series}); f.reason != InvalidLabelName {
		t.Errorf("label name overwritten in place: %+v", f)
	}
	r.begin()
	copy(name, "tag")
	copy(metric, "-p")
	if _, f := r.check(metrics.Series{Labels: series}); f.reason != InvalidMetricName {
		t.Errorf("metric name overwritten in place: %+v", f)
	}
}

// FuzzNames holds the two loops against the specification's expressions.
func FuzzNames(f *testing.F) {
	label := regexp.MustCompile(`\A[a-zA-Z_][a-zA-Z0-9_]*\z`)
	metric := regexp.MustCompile(`\A[a-zA-Z_:][a-zA-Z0-9_:]*\z`)
	for _, s := range []string{"", "a", "_", ":", "1", "a1", "1a", "a:", "a-b", "ü", "a\n", "__name__", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := validLabelName(s), label.MatchString(s); got != want {
			t.Errorf("label name %q: %v, want %v", s, got, want)
		}
		if got, want := validMetricName(s), metric.MatchString(s); got != want {
			t.Errorf("metric name %q: %v, want %v", s, got, want)
		}
	})
}
