package contracttest_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	marker := math.Float64frombits(0x7ff0000000000002)
	got := contracttest.Check(map[string]float64{
		"right": 1, "never": 1, "ended": 1, "old": 1, "other": 2,
	}, map[string]contracttest.Last{
		"right": {9, 1}, "ended": {9, marker}, "old": {8, 1}, "other": {9, 1},
		"gone":             {7, marker},
		"left":             {8, 1},
		contracttest.Up:    {9, 1},
		"of another":       {9, 1},
		"left of another{": {8, 1},
	})
	want := []contracttest.Difference{
		{"ended", contracttest.Missing, "has ended"},
		{"never", contracttest.Missing, "was never stored"},
		{"old", contracttest.Missing, "was not sent"},
		{"other", contracttest.Missing, "is 1, want 2"},
		{contracttest.Up, contracttest.Unknown, "is sent and is not of the registry"},
		{"left", contracttest.NotEnded, "has not ended"},
		{"left of another{", contracttest.NotEnded, "has not ended"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}
