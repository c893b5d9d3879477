package remotewrite

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// TestSeen holds the table against a map, over its growth and with hashes that all
// want the same slot.
func TestSeen(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func(i uint64) uint64{
		"spread":   func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 },
		"in a row": func(i uint64) uint64 { return i },
		"one slot": func(i uint64) uint64 { return i % 200 << 32 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			for range 2 {
				s.begin()
				want := map[uint64]bool{}
				for i := range uint64(5000) {
					h := hash(i / 3)
					// 0 is not told from 1.
					if isNew := !want[max(1, h)]; s.add(h) != isNew {
						t.Fatalf("hash %x: new %v, want %v", h, !isNew, isNew)
					}
					want[max(1, h)] = true
				}
				if s.used != len(want) || 4*s.used > 3*len(s.slots) {
					t.Errorf("%d used of %d slots, for %d hashes", s.used, len(s.slots), len(want))
				}
			}
		})
	}
}

// TestSeenMemory: what a million series take is what the documentation says, and is
// used again.
func TestSeenMemory(t *testing.T) {
	var s seen
	fill := func() {
		s.begin()
		for i := range uint64(1_000_000) {
			s.add(i * 0x9e3779b97f4a7c15)
		}
	}
	fill()
	if bytes := 8 * len(s.slots); bytes != 16<<20 {
		t.Errorf("%d bytes", bytes)
	}
	if n := testing.AllocsPerRun(1, fill); n != 0 {
		t.Errorf("%v allocations the second time", n)
	}
}

func TestRulesDuplicates(t *testing.T) {
	t.Parallel()
	type labels = []string
	for _, tt := range []struct {
		name   string
		series []labels
		want   []bool // dropped
	}{
		{"same", []labels{{"__name__", "up", "a", "1"}, {"__name__", "up", "a", "1"}}, []bool{false, true}},
		{"another order", []labels{{"__name__", "up", "a", "1", "b", "2"}, {"b", "2", "a", "1", "__name__", "up"}}, []bool{false, true}},
		{"with an empty label", []labels{{"__name__", "up", "a", "1"}, {"__name__", "up", "a", "1", "b", ""}, {"__name__", "up", "a", ""}, {"__name__", "up"}}, []bool{false, true, false, true}},
		{"another name", []labels{{"__name__", "up"}, {"__name__", "down"}}, []bool{false, false}},
		{"another value", []labels{{"__name__", "up", "a", "1"}, {"__name__", "up", "a", "2"}}, []bool{false, false}},
		{"values exchanged", []labels{{"__name__", "up", "a", "1", "b", "2"}, {"__name__", "up", "a", "2", "b", "1"}}, []bool{false, false}},
		{"name and value exchanged", []labels{{"__name__", "up", "a", "b"}, {"__name__", "up", "b", "a"}}, []bool{false, false}},
		{"texts joined differently", []labels{{"__name__", "up", "a", "bc"}, {"__name__", "up", "ab", "c"}}, []bool{false, false}},
		{"third and fourth time", []labels{{"__name__", "a"}, {"__name__", "b"}, {"__name__", "a"}, {"__name__", "b"}, {"__name__", "a"}}, []bool{false, false, true, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rules
			for range 2 { // what one push has seen, another has not
				r.begin()
				for i, l := range tt.series {
					got, f := r.check(gauge(float64(i), l...))
					if (f == fault{DuplicateSeries, "", 0}) != tt.want[i] || (got == nil) != tt.want[i] {
						t.Errorf("series %d: labels %q, fault %+v, want it dropped: %v", i, got, f, tt.want[i])
					}
				}
			}
		})
	}
}

// TestRulesDuplicatesMany: no two of many series of this project's shape are taken
// for one, and all are known again.
func TestRulesDuplicatesMany(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var r rules
	r.begin()
	for s := range images(n) {
		if _, f := r.check(s); f.reason != "" {
			t.Fatalf("%q: %+v", s.Labels, f)
		}
	}
	for s := range images(n) {
		if _, f := r.check(s); f.reason != DuplicateSeries {
			t.Fatalf("%q again: %+v", s.Labels, f)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	wide := func(n int) metrics.Series {
		labels := []string{"__name__", "up"}
		for i := range n - 1 {
			labels = append(labels, fmt.Sprintf("l%03d", i), "x")
		}
		return gauge(1, append(labels, "none", "")...)
	}
	small := Limits{Labels: 3, NameBytes: 8, ValueBytes: 4}
	for _, tt := range []struct {
		name   string
		limits Limits
		series metrics.Series
		want   fault
	}{
		{"labels of AMP's quota", Limits{}, wide(70), fault{}},
		{"labels beyond AMP's quota", Limits{}, wide(71), fault{TooManyLabels, "", 71}},
		{"labels of a limit", small, wide(3), fault{}},
		{"labels beyond a limit", small, wide(4), fault{TooManyLabels, "", 4}},
		{"name of a limit", small, gauge(1, "__name__", "up", "abcdefgh", "x"), fault{}},
		{"name beyond a limit", small, gauge(1, "__name__", "up", "abcdefghi", "x"), fault{LabelNameTooLong, "abcdefghi", 9}},
		{"value of a limit", small, gauge(1, "__name__", "up", "a", "1234"), fault{}},
		{"value beyond a limit", small, gauge(1, "__name__", "up", "a", "12345"), fault{LabelValueTooLong, "a", 5}},
		{"metric name beyond a limit", small, gauge(1, "__name__", "abcde"), fault{LabelValueTooLong, "__name__", 5}},
		{"only one limit given", Limits{Labels: 1}, gauge(1, "__name__", strings.Repeat("x", 2049)), fault{LabelValueTooLong, "__name__", 2049}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, subject := range []uint64{0, 1<<32 + 1} {
				r := rules{limits: tt.limits}
				r.begin()
				tt.series.Subject = subject
				if _, f := r.check(tt.series); f != tt.want {
					t.Errorf("subject %d: fault %+v, want %+v", subject, f, tt.want)
				}
			}
		})
	}
}

// TestMix: the hash of a label depends on both parts, each in its place.
func TestMix(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	seen := map[uint64]string{}
	for i := range 100 {
		for k := range 100 {
			label := fmt.Sprintf("%d=%d", i, k)
			h := mix(maphash.String(seed, fmt.Sprint(i)), maphash.String(seed, fmt.Sprint(k)))
			if other, ok := seen[h]; ok {
				t.Errorf("%s and %s have the same hash", label, other)
			}
			seen[h] = label
		}
	}
}
