package wire

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func TestValidator(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name   string
		labels []string
		want   []string // nil if refused
		fault  Fault
	}{
		{"name only", []string{"__name__", "up"}, []string{"__name__", "up"}, Fault{}},
		{"sorted", []string{"__name__", "up", "a", "1", "b", "2"}, []string{"__name__", "up", "a", "1", "b", "2"}, Fault{}},
		{"upper case sorts first", []string{"A", "1", "__name__", "up", "a", "2"}, []string{"A", "1", "__name__", "up", "a", "2"}, Fault{}},
		{"not sorted", []string{"b", "2", "a", "1", "__name__", "up"}, []string{"__name__", "up", "a", "1", "b", "2"}, Fault{}},
		{"empty value", []string{"__name__", "up", "a", "", "b", "2"}, []string{"__name__", "up", "b", "2"}, Fault{}},
		{"all other values empty", []string{"__name__", "up", "a", "", "b", ""}, []string{"__name__", "up"}, Fault{}},
		{"empty value, not sorted", []string{"c", "3", "b", "", "__name__", "up"}, []string{"__name__", "up", "c", "3"}, Fault{}},
		{"empty value under a bad name", []string{"__name__", "up", "a-b", ""}, []string{"__name__", "up"}, Fault{}},
		{"duplicate, one empty", []string{"__name__", "up", "a", "", "a", "1"}, []string{"__name__", "up", "a", "1"}, Fault{}},
		{"colon in the metric name", []string{"__name__", ":a:b"}, []string{"__name__", ":a:b"}, Fault{}},
		{"longest name", []string{"__name__", "up", long(1024), "1"}, []string{"__name__", "up", long(1024), "1"}, Fault{}},
		{"longest value", []string{"__name__", "up", "a", long(2048)}, []string{"__name__", "up", "a", long(2048)}, Fault{}},
		{"longest metric name", []string{"__name__", long(2048)}, []string{"__name__", long(2048)}, Fault{}},
		{"UTF-8 value", []string{"__name__", "up", "a", "ü\x00\n\""}, []string{"__name__", "up", "a", "ü\x00\n\""}, Fault{}},

		{"no labels", nil, nil, Fault{NoMetricName, "__name__", 0}},
		{"no metric name", []string{"a", "1"}, nil, Fault{NoMetricName, "__name__", 0}},
		{"empty metric name", []string{"__name__", "", "a", "1"}, nil, Fault{NoMetricName, "__name__", 0}},
		{"metric name with a dash", []string{"__name__", "a-b"}, nil, Fault{InvalidMetricName, "__name__", 3}},
		{"metric name from a digit", []string{"__name__", "1a"}, nil, Fault{InvalidMetricName, "__name__", 2}},
		{"metric name with a letter beyond ASCII", []string{"__name__", "ü"}, nil, Fault{InvalidMetricName, "__name__", 2}},
		{"metric name too long", []string{"__name__", long(2049)}, nil, Fault{LabelValueTooLong, "__name__", 2049}},
		{"label name with a dash", []string{"__name__", "up", "a-b", "1"}, nil, Fault{InvalidLabelName, "a-b", 3}},
		{"label name with a colon", []string{"__name__", "up", "a:b", "1"}, nil, Fault{InvalidLabelName, "a:b", 3}},
		{"label name from a digit", []string{"0", "1", "__name__", "up"}, nil, Fault{InvalidLabelName, "0", 1}},
		{"empty label name", []string{"", "1", "__name__", "up"}, nil, Fault{InvalidLabelName, "", 0}},
		{"label name too long", []string{"__name__", "up", long(1025), "1"}, nil, Fault{LabelNameTooLong, long(1025), 1025}},
		{"duplicate", []string{"__name__", "up", "a", "1", "a", "2"}, nil, Fault{DuplicateLabel, "a", 1}},
		{"duplicate, apart", []string{"a", "1", "__name__", "up", "a", "1"}, nil, Fault{DuplicateLabel, "a", 1}},
		{"duplicate metric name", []string{"__name__", "up", "__name__", "up"}, nil, Fault{DuplicateLabel, "__name__", 8}},
		{"value too long", []string{"__name__", "up", "a", long(2049)}, nil, Fault{LabelValueTooLong, "a", 2049}},
		{"value not UTF-8", []string{"__name__", "up", "a", "x\xff"}, nil, Fault{InvalidUTF8, "a", 2}},
		{"value ends within a rune", []string{"__name__", "up", "a", "x\xc3"}, nil, Fault{InvalidUTF8, "a", 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := NewValidator(Limits{})
			// The second time the names are known, and after many others they no longer
			// are. The result is the same.
			for range 2 {
				for range 2 {
					checkValidator(t, v, tt.labels, tt.want, tt.fault)
					checkValidator(t, v, []string{"__name__", "other", "z", "1"}, []string{"__name__", "other", "z", "1"}, Fault{})
				}
				for i := range maxKnown {
					checkValidator(t, v, []string{"__name__", "up", fmt.Sprint("l", i), "1"}, []string{"__name__", "up", fmt.Sprint("l", i), "1"}, Fault{})
				}
			}
		})
	}
}

func checkValidator(t *testing.T, v *Validator, labels, want []string, wantFault Fault) {
	t.Helper()
	given, before := gauge(0, labels...).Labels, gauge(0, labels...).Labels
	got, f := v.Check(given)
	if f != wantFault {
		t.Errorf("%q: fault %+v, want %+v", labels, f, wantFault)
	}
	if diff := cmp.Diff(gauge(0, want...).Labels, texts(got)); diff != "" {
		t.Errorf("%q: %s", labels, diff)
	}
	if diff := cmp.Diff(before, given); diff != "" {
		t.Errorf("the caller's labels were changed: %s", diff)
	}
}

// texts are the labels' names and values.
func texts(labels []*Label) (all []metrics.Label) {
	for _, l := range labels {
		all = append(all, metrics.Label{Name: string(l.name), Value: string(l.value())})
	}
	return all
}

func TestTooManyLabels(t *testing.T) {
	t.Parallel()
	labels := func(n int) []metrics.Label {
		all := []metrics.Label{{Name: "__name__", Value: "up"}, {Name: "a"}} // one without a value
		for i := range n - 1 {
			all = append(all, metrics.Label{Name: fmt.Sprintf("l%02d", i), Value: "1"})
		}
		return all
	}
	for limit, most := range map[int]int{0: DefaultMaxLabels, 3: 3} {
		v := NewValidator(Limits{Labels: limit})
		for range 2 {
			if got, f := v.Check(labels(most)); f.Reason != "" || len(got) != most {
				t.Errorf("%d labels: %+v", most, f)
			}
			// Before all else that is wrong.
			if _, f := v.Check(append(labels(most+1), metrics.Label{Name: "-", Value: "\xff"})); f != (Fault{TooManyLabels, "", most + 2}) {
				t.Errorf("%d labels: %+v", most+2, f)
			}
		}
	}
	v := NewValidator(Limits{NameBytes: 3, ValueBytes: 2})
	if _, f := v.Check(gauge(0, "__name__", "up").Labels); f != (Fault{LabelNameTooLong, "__name__", 8}) {
		t.Errorf("a name beyond its limit: %+v", f)
	}
	v = NewValidator(Limits{ValueBytes: 2})
	if _, f := v.Check(gauge(0, "__name__", "up", "a", "xyz").Labels); f != (Fault{LabelValueTooLong, "a", 3}) {
		t.Errorf("a value beyond its limit: %+v", f)
	}
}

// TestMemory: series are built in place, so what the validator keeps of one must not
// be a view of its memory.
func TestMemory(t *testing.T) {
	t.Parallel()
	name, metric := []byte("tag"), []byte("up")
	view := func(b []byte) string { return unsafe.String(&b[0], len(b)) }
	labels := []metrics.Label{{Name: "__name__", Value: view(metric)}, {Name: view(name), Value: "1"}}
	v := NewValidator(Limits{})
	check := func(want Reason) {
		t.Helper()
		if _, f := v.Check(labels); f.Reason != want {
			t.Errorf("%v: %+v, want %q", labels, f, want)
		}
	}
	check("")
	copy(name, "t-g")
	check(InvalidLabelName)
	copy(name, "tag")
	copy(metric, "-p")
	check(InvalidMetricName)
	check(InvalidMetricName)
}

// TestReasons: no two are the same word, and every constant is listed.
func TestReasons(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("labels.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[Reason]bool{}
	for _, m := range regexp.MustCompile(`Reason = "(\w+)"`).FindAllSubmatch(file, -1) {
		declared[Reason(m[1])] = true
	}
	listed := map[Reason]bool{}
	for _, r := range Reasons {
		listed[r] = true
	}
	if !maps.Equal(declared, listed) || len(listed) != len(Reasons) || len(listed) == 0 {
		t.Errorf("declared %v, listed %v", declared, Reasons)
	}
}

// FuzzNames compares the names that are accepted with the specification's expressions.
func FuzzNames(f *testing.F) {
	label := regexp.MustCompile(`\A[a-zA-Z_][a-zA-Z0-9_]*\z`)
	metric := regexp.MustCompile(`\A[a-zA-Z_:][a-zA-Z0-9_:]*\z`)
	for _, s := range []string{"", "a", "_", ":", "1", "a1", "1a", "a:", "a-b", "ü", "a\n", "zz", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == nameLabel || len(s) > 100 {
			return
		}
		check := func(labels ...metrics.Label) Reason {
			_, fault := NewValidator(Limits{}).Check(labels)
			return fault.Reason
		}
		if got, want := check(metrics.Label{Name: nameLabel, Value: "m"}, metrics.Label{Name: s, Value: "v"}), label.MatchString(s); want != (got == "") {
			t.Errorf("label name %q: %q, want valid %v", s, got, want)
		}
		if got, want := check(metrics.Label{Name: nameLabel, Value: s}), metric.MatchString(s); want != (got == "") {
			t.Errorf("metric name %q: %q, want valid %v", s, got, want)
		}
	})
}
