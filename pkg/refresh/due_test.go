package refresh

import (
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// A record that is dated into the future, by a damaged state or a wrong clock, is read again.
func TestExpired(t *testing.T) {
	t.Parallel()
	r := New(nil, Options{Interval: time.Hour})
	now := time.Now()
	for age, want := range map[time.Duration]bool{
		0: false, 59 * time.Minute: false, time.Hour: true, -59 * time.Minute: false, -61 * time.Minute: true,
	} {
		if got := r.expired(inventory.TimeOf(now.Add(-age)), now); got != want {
			t.Errorf("a record that is %s old: expired %t, want %t", age, got, want)
		}
	}
	if !r.expired(0, now) {
		t.Error("what was never read is not expired")
	}
}
