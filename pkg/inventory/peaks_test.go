package inventory_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestPeaks(t *testing.T) {
	t.Parallel()
	const minute = hour / 60
	r := &inventory.Registry{}
	check := func(at inventory.Time, want int, wantKnown bool) {
		t.Helper()
		if got, known := r.PeakBefore(at, 30*time.Minute); got != want || known != wantKnown {
			t.Errorf("at minute %d: %d, known %v; want %d, %v", at/minute, got, known, want, wantKnown)
		}
	}
	check(10*hour, 0, false)
	r.NotePeak(10*hour+1*minute, 5)
	r.NotePeak(10*hour+9*minute, 7)
	r.NotePeak(10*hour+9*minute, 6)
	r.NotePeak(10*hour+10*minute, 3)
	want := []inventory.Peak{{At: 10*hour + 10*minute, Series: 7}, {At: 10*hour + 20*minute, Series: 3}}
	if diff := cmp.Diff(want, r.Peaks); diff != "" {
		t.Errorf("peaks (-want +got):\n%s", diff)
	}
	check(10*hour+39*minute, 0, true)
	check(10*hour+40*minute, 7, true)
	check(12*hour+10*minute, 7, true)
	check(12*hour+11*minute, 3, true)
	check(12*hour+21*minute, 0, false)
	r.NotePeak(13*hour, 1)
	if len(r.Peaks) != 1 || !r.Unsaved.Any {
		t.Errorf("peaks %v, to be saved %v", r.Peaks, r.Unsaved.Any)
	}
}
