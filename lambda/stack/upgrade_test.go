//go:build unix

package main

import (
	"strings"
	"testing"
	"time"
)

// Each way in which series can fail to go on is found.
func TestContinues(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC)
	taken := func(version string, after time.Duration, series map[string]float64, ended ...string) snapshot {
		s := snapshot{at: at.Add(after), version: version, families: map[string]bool{}, series: series, ended: ended}
		for key := range series {
			family, _, _ := strings.Cut(key, "[")
			s.families[family] = true
		}
		return s
	}
	type series = map[string]float64
	before := taken("v1", 0, series{"size[a]": 1, "size[b]": 2, "aws_ecr_exporter_errors[]": 0})
	for _, test := range []struct {
		name string
		now  snapshot
		back bool
		err  string
	}{
		{"the same, and a new family", taken("v2", slot, series{"size[a]": 1, "size[b]": 2, "aws_ecr_exporter_errors[]": 3, "count[a]": 1}), false, ""},
		{"without a family about calls", taken("v2", slot, series{"size[a]": 1, "size[b]": 2}), false, ""},
		{"what had ended before ends again", taken("v2", slot, series{"size[a]": 1, "size[b]": 2}, "size[c]"), false, ""},
		{"back, without a family", taken("v2", slot, series{"count[a]": 1}), true, ""},
		{"without a family", taken("v2", slot, series{"count[a]": 1}), false, "missing: size["},
		{"without a series", taken("v2", slot, series{"size[a]": 1}), true, "missing: size[b]"},
		{"a new series", taken("v2", slot, series{"size[a]": 1, "size[b]": 2, "size[c]": 2}), false, "new: size[c]"},
		{"another value", taken("v2", slot, series{"size[a]": 1, "size[b]": 3}), false, "3, was 2: size[b]"},
		{"an end", taken("v2", slot, series{"size[a]": 1}, "size[b]"), false, "ended: size[b]"},
		{"a gap", taken("v2", slot+time.Second, series{"size[a]": 1, "size[b]": 2}), false, "gap of 2m1s"},
		{"the same program", taken("v1", slot, series{"size[a]": 1, "size[b]": 2}), false, "still v1"},
	} {
		result, err := test.now.continues(before, test.back)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %s, error %v, want %q", test.name, result, err, test.err)
		}
	}
}
