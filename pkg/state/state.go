// Package state keeps the inventory between runs: in the memory of an execution
// environment, in a file, or in an S3 object.
//
// It does not know what the inventory holds: inventory encodes it and merges two copies.
package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Memory keeps the inventory for as long as the process lives. A cold start then begins
// with a full refresh.
type Memory struct {
	registry *inventory.Registry
}

// Load returns what was saved last; nil if nothing was.
func (m *Memory) Load(context.Context) (*inventory.Registry, error) { return m.registry, nil }

// Save keeps the registry itself, not a copy: runs are serial.
func (m *Memory) Save(_ context.Context, registry *inventory.Registry) error {
	m.registry = registry
	return nil
}

// Store keeps the inventory in a file or an S3 object, and a copy in memory, so that a
// run can go on while the file or object is not available. NewFile and NewS3 make one.
//
// It is not safe for concurrent use: an execution environment makes one run at a time.
// Several environments can each have a Store of the same file or object: a write replaces
// only the version that was read, and the changes of the others are merged first.
type Store struct {
	object  object
	log     *slog.Logger
	copied  *inventory.Registry // the copy in memory, nil if there is none
	version string              // of the object that is merged into the copy; empty if it does not exist
}

// object is where the stored form is kept.
type object interface {
	// String returns its URL.
	String() string
	// read returns the content and its version. The registry is nil if the object does
	// not exist, and then the version is empty, or if it still has the known version. An
	// error that matches inventory.ErrFormat comes with the version.
	read(ctx context.Context, known string) (*inventory.Registry, string, error)
	// write replaces the known version and returns the new one. The error matches
	// errConflict if the object has another version, or none.
	write(ctx context.Context, registry *inventory.Registry, known string) (string, error)
	// setAside keeps a damaged version at the URL that it returns, in place of one that
	// was set aside before.
	setAside(ctx context.Context, version string) (string, error)
}

// errConflict means that another environment wrote or deleted the object.
var errConflict = errors.New("another writer changed the state")

// damagedSuffix names what is set aside.
const damagedSuffix = ".damaged"

// maxConflicts bounds the retries of a save. Each conflict means that another writer
// succeeded, so this many environments can save at once.
const maxConflicts = 20

func newStore(object object, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{object: object, log: log}
}

// String returns the URL of the file or object.
func (s *Store) String() string { return s.object.String() }

// Load returns the copy in memory, after merging into it what another environment saved;
// nil if nothing is stored or in memory. A state that is damaged or of an unknown format is
// set aside under another name and logged: the inventory is then rebuilt from ECR. With an
// error, too, the copy in memory is returned.
func (s *Store) Load(ctx context.Context) (*inventory.Registry, error) {
	if err := s.merge(ctx); err != nil {
		return s.copied, fmt.Errorf("loading the state %s: %w", s, err)
	}
	return s.copied, nil
}

// Read returns what is stored, nil if nothing is, and changes nothing. The error matches
// inventory.ErrFormat if the state is damaged or of an unknown format.
func (s *Store) Read(ctx context.Context) (*inventory.Registry, error) {
	registry, _, err := s.object.read(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("reading the state %s: %w", s, err)
	}
	return registry, nil
}

// Save makes the registry the copy in memory and stores it, after merging into it what
// another environment saved.
func (s *Store) Save(ctx context.Context, registry *inventory.Registry) error {
	s.copied = registry
	for n := 0; ; n++ {
		version, err := s.object.write(ctx, registry, s.version)
		if err == nil {
			s.version = version
			return nil
		}
		if errors.Is(err, errConflict) && n < maxConflicts {
			conflict := err
			if err = pause(ctx, n); err == nil {
				err = s.merge(ctx)
			}
			if err == nil {
				continue
			}
			err = fmt.Errorf("%w (after %w)", err, conflict)
		}
		return fmt.Errorf("saving the state %s: %w", s, err)
	}
}

// merge merges what is stored into the copy in memory.
func (s *Store) merge(ctx context.Context) error {
	stored, version, err := s.object.read(ctx, s.version)
	switch {
	case errors.Is(err, inventory.ErrFormat):
		s.setAside(ctx, version, err)
	case err != nil:
		return err
	case s.copied == nil:
		s.copied = stored
	case stored != nil && !s.copied.Merge(stored):
		s.log.WarnContext(ctx, "ignoring the stored state of another registry", slog.String("state", s.String()),
			slog.String("registry", s.copied.ID), slog.String("stored", stored.ID))
	}
	s.version = version
	return nil
}

// setAside keeps a damaged state for inspection. The next save replaces it even if it could
// not be kept.
func (s *Store) setAside(ctx context.Context, version string, damage error) {
	aside, err := s.object.setAside(ctx, version)
	log := s.log.With(slog.String("state", s.String()), slog.Any("error", damage))
	if err != nil {
		log.WarnContext(ctx, "unusable state could not be set aside and will be replaced: rebuilding the inventory", slog.Any("asideError", err))
		return
	}
	log.WarnContext(ctx, "unusable state set aside: rebuilding the inventory", slog.String("aside", aside))
}

// spool writes the stored form to a new temporary file, so that it is never in memory as a
// whole. The caller discards the file.
func spool(folder, pattern string, registry *inventory.Registry) (*os.File, error) {
	file, err := os.CreateTemp(folder, pattern)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(file)
	if err = inventory.Encode(out, registry); err == nil {
		err = out.Flush()
	}
	if err != nil {
		discard(file)
		return nil, fmt.Errorf("writing %s: %w", file.Name(), err)
	}
	return file, nil
}

// discard closes and removes a temporary file. One that was renamed or closed is no fault.
func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}

// pause waits before retry n, counted from 0: a random time of at most 20 ms, doubled with
// each retry up to 1 s.
func pause(ctx context.Context, n int) error {
	timer := time.NewTimer(rand.N(min(time.Second, 20*time.Millisecond<<min(n, 10))) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
