package refresh

import (
	"encoding/binary"
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

// Of more indexes than a run reads the newest are read, and the others are counted: Inspector's
// lists wait for them.
func TestUnreadIndexes(t *testing.T) {
	t.Parallel()
	const beyond = 5
	r := New(nil, Options{Scans: ScanOptions{Indexes: true}})
	repository := &inventory.Repository{Name: "app"}
	for i := range maxIndexes + beyond {
		image := inventory.Image{Tags: []string{"v"}, MediaType: inventory.OCIIndex, PushedAt: inventory.Time(i + 1)}
		binary.BigEndian.PutUint32(image.Digest[:], uint32(i))
		repository.Images = append(repository.Images, image)
	}
	unread, more := r.unreadIndexes([]*inventory.Repository{repository})
	if len(unread) != maxIndexes || more != beyond {
		t.Fatalf("%d to read and %d more, want %d and %d", len(unread), more, maxIndexes, beyond)
	}
	if first, last := unread[0].pushed, unread[maxIndexes-1].pushed; first != maxIndexes+beyond || last != beyond+1 {
		t.Errorf("pushes from %d to %d are read, want the newest", first, last)
	}
}
