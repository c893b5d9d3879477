package fleet_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// A worker's exporter asks the snapshot as it would ask the store.
var _ exporter.Running = fleet.Snapshot{}

// store answers with names, and with an error after them if it has one.
type store struct {
	names []string
	err   error
	asked int
}

func (s *store) Images(_ context.Context, saw func(string) bool) error {
	s.asked++
	for _, name := range s.names {
		if !saw(name) {
			return errors.New("no room")
		}
	}
	return s.err
}

func names(running fleet.Running) (list []string, err error) {
	err = running.Images(context.Background(), func(name string) bool { list = append(list, name); return true })
	return list, err
}

// The store is asked once in the smallest interval, and its last whole answer is there for
// the workers for ten minutes beyond the next.
func TestRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := &store{names: []string{"b:1", "a@sha256:0", "b:1", "with\nbreak"}}
		object := &state.MemoryObject{}
		snapshot := fleet.Snapshot{Object: object}
		if _, err := names(snapshot); err == nil || !strings.Contains(err.Error(), "not written it yet") {
			t.Errorf("before the first plan: %v", err)
		}
		for range 10 {
			w.restart(fleet.Options{Running: s, Snapshot: object})
			w.plan()
		}
		got, err := names(snapshot)
		if diff := cmp.Diff([]string{"a@sha256:0", "b:1"}, got); diff != "" || err != nil || s.asked != 5 {
			t.Errorf("%v, asked %d times (-want +got):\n%s", err, s.asked, diff)
		}

		s.names, s.err = []string{"c:1"}, errPlanted
		for minute := range 12 {
			if _, err := w.minute(); errors.Is(err, errPlanted) != (minute%2 == 0) {
				t.Errorf("minute %d: %v", minute, err)
			}
			got, err = names(snapshot)
			if old := minute > 9; (err != nil) != old || !old && len(got) != 2 {
				t.Errorf("minute %d without an answer: %v, %v", minute, got, err)
			}
		}
		if n := len(w.queue.take()); n != 33 {
			t.Errorf("%d messages in 22 minutes, want 33", n)
		}
		s.err = nil
		w.plan()
		if got, err := names(snapshot); err != nil || len(got) != 1 {
			t.Errorf("answered again: %v, %v", got, err)
		}
	})
}

// An answer with more names than there is room for is no answer.
func TestRunningTooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := &store{}
		for i := range inventory.MaxRunning {
			s.names = append(s.names, fmt.Sprint("image:", i))
		}
		object := &state.MemoryObject{}
		w.restart(fleet.Options{Running: s, Snapshot: object})
		w.plan()
		if got, err := names(fleet.Snapshot{Object: object}); err != nil || len(got) != inventory.MaxRunning {
			t.Errorf("%d names, %v", len(got), err)
		}
		s.names = append(s.names, "one:more")
		if _, err := w.minute(); err != nil {
			t.Errorf("asked out of its turn: %v", err)
		}
		if _, err := w.minute(); err == nil {
			t.Error("one name too many is no error")
		}
		w.plan()
		_ = object.Write(t.Context(), zipped(time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+"\n"+strings.Join(s.names, "\n")))
		if _, err := names(fleet.Snapshot{Object: object}); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("a snapshot with one name too many: %v", err)
		}
	})
}

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// Whatever is in the object, a snapshot has names or an error.
func FuzzSnapshot(f *testing.F) {
	until := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	for _, text := range []string{until + "\na:1\nb@sha256:0\n", "2020-01-01T00:00:00Z\na:1\n", "yesterday\n", until + "\n" + strings.Repeat("a", 5000), strings.Repeat("a", 5000)} {
		f.Add(zipped(text))
		f.Add(zipped(text)[:20])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		object := &state.MemoryObject{}
		_ = object.Write(t.Context(), content)
		got, err := names(fleet.Snapshot{Object: object})
		if err != nil && !strings.Contains(err.Error(), "memory") {
			t.Errorf("%v does not name the object", err)
		}
		if err == nil && len(got) > inventory.MaxRunning || slices.ContainsFunc(got, func(name string) bool { return len(name) > 4096 }) {
			t.Errorf("%d names, or a long one", len(got))
		}
	})
}
