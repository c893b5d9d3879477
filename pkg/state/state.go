// Package state keeps the inventory between runs: in the memory of an execution
// environment, in a file, or in an S3 object.
//
// It does not know what the inventory holds: inventory encodes it and merges two copies.
package state

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Memory keeps the inventory for as long as the process lives. A cold start then begins
// with a full refresh.
type Memory struct {
	registry *inventory.Registry
}

// Of is Store.Of.
func (m *Memory) Of(account, region string) {
	if m.registry != nil && !m.registry.IsOf(account, region) {
		m.registry = nil
	}
}

// Load returns what was saved last; nil if nothing was.
func (m *Memory) Load(context.Context) (*inventory.Registry, error) { return m.registry, nil }

// Save keeps the registry itself, not a copy: runs are serial.
func (m *Memory) Save(_ context.Context, registry *inventory.Registry, _ bool) error {
	m.registry = registry
	registry.Unsaved = inventory.Unsaved{}
	return nil
}

// Store keeps the inventory in two files or S3 objects: the whole, and what changed since
// the whole was stored, which is small. It also keeps a copy in memory, so that a run can go
// on while they are not available. NewFile and NewS3 make one.
//
// It is not safe for concurrent use: an execution environment makes one run at a time.
// Several environments can each have a Store of the same objects: a write replaces only the
// version that was read, and the changes of the others are merged first.
type Store struct {
	whole, changes stored
	log            *slog.Logger
	account        string // of the registry, and its Region, as far as known
	region         string
	copied         *inventory.Registry // the copy in memory, nil if there is none
	wholeSize      int64               // in bytes, of the last whole that was written
}

// stored is an object and its version that is merged into the copy; empty if the object
// does not exist.
type stored struct {
	object
	version string
}

// object is where a stored form is kept.
type object interface {
	// String returns its URL.
	String() string
	// read passes the content to decode, and returns its version. decode is not called if
	// the object does not exist, and then the version is empty, or if it still has the
	// known version. An error that matches inventory.ErrFormat comes with the version.
	read(ctx context.Context, known string, decode func(io.Reader) error) (string, error)
	// write replaces the known version by the content of a file, which is open at any
	// place, and returns the new version. The error matches errConflict if the object has
	// another version, or none.
	write(ctx context.Context, file *os.File, known string) (string, error)
	// replace replaces any version.
	replace(ctx context.Context, content []byte) error
	// folder is where the file is made that write is given; empty for any.
	folder() string
	// setAside keeps a version that cannot be used at the URL that it returns, that of the
	// whole with a suffix, in place of one that was set aside before.
	setAside(ctx context.Context, version, suffix string) (string, error)
}

// errConflict means that another environment wrote or deleted the object.
var errConflict = errors.New("another writer changed the state")

// Suffixes of the names of the whole.
const (
	changesSuffix = ".changes"
	damagedSuffix = ".damaged" // what is set aside; its changes have both suffixes
	otherSuffix   = ".other"   // the same, of another registry
)

// maxConflicts bounds the retries of a save. Each conflict means that another writer
// succeeded, so this many environments can save at once.
const maxConflicts = 20

// Changes are stored as such up to this size in bytes, or a tenth of the whole's if that is
// more; beyond it the whole is stored.
const maxChanges = 1 << 20

func newStore(whole, changes object, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{whole: stored{object: whole}, changes: stored{object: changes}, log: log}
}

// String returns the URL of the whole.
func (s *Store) String() string { return s.whole.String() }

// Of says which registry's state it is; what is empty is not known. A stored state of another
// one is set aside when it is loaded.
func (s *Store) Of(account, region string) {
	s.account, s.region = cmp.Or(account, s.account), cmp.Or(region, s.region)
	if s.copied != nil && !s.copied.IsOf(s.account, s.region) {
		s.copied, s.whole.version, s.changes.version = nil, "", ""
	}
}

// Load returns the copy in memory, after merging into it what another environment saved;
// nil if nothing is stored or in memory. A state that is damaged or of an unknown format is
// set aside under another name and logged, and so is one of another registry: the inventory
// is then rebuilt from ECR. If only the changes are damaged, the whole is used without them;
// if they are of a later format, it is not, since it would be half of what a later program
// knew. With an error, too, the copy in memory is returned.
func (s *Store) Load(ctx context.Context) (*inventory.Registry, error) {
	if err := s.merge(ctx); err != nil {
		return s.copied, fmt.Errorf("loading the state %s: %w", s, err)
	}
	return s.copied, nil
}

// Read returns what is stored, nil if nothing is, and changes nothing. The error matches
// inventory.ErrFormat if the state is damaged or of an unknown format.
func (s *Store) Read(ctx context.Context) (*inventory.Registry, error) {
	l, err := s.read(ctx, "")
	if err = errors.Join(err, l.wholeDamage, l.changesDamage); err != nil {
		return nil, fmt.Errorf("reading the state %s: %w", s, err)
	}
	return l.registry, nil
}

// loaded is what is stored. Damage to an object is not an error.
type loaded struct {
	registry                     *inventory.Registry // nil if there is none, or the whole is damaged
	wholeVersion, changesVersion string
	wholeDamage, changesDamage   error
}

// read reads both objects; the registry is nil if both have their known versions.
func (s *Store) read(ctx context.Context, known string) (l loaded, err error) {
	l.wholeVersion, l.wholeDamage, err = damageOf(s.whole.read(ctx, known, func(r io.Reader) (err error) {
		l.registry, err = inventory.Decode(r)
		return err
	}))
	if err != nil {
		l.registry = nil
		return l, err
	}
	if l.wholeDamage != nil {
		l.registry = nil
		l.changesVersion, err = s.changes.read(ctx, "", func(io.Reader) error { return errChanged })
		if errors.Is(err, errChanged) {
			err = nil
		}
		return l, err
	}
	if known != "" && l.wholeVersion == known {
		l.changesVersion, err = s.changes.read(ctx, s.changes.version, func(io.Reader) error { return errChanged })
		if !errors.Is(err, errChanged) && (err != nil || l.changesVersion == s.changes.version) {
			return l, err
		}
		return s.read(ctx, "") // the changes are of no use without the whole
	}
	if l.registry == nil {
		return l, nil
	}
	l.changesVersion, l.changesDamage, err = damageOf(s.changes.read(ctx, "", func(r io.Reader) error { return inventory.DecodeChanges(r, l.registry) }))
	if l.changesDamage != nil {
		// Some of them may have been applied: the whole is read again.
		_, err = s.whole.read(ctx, "", func(r io.Reader) (err error) {
			l.registry, err = inventory.Decode(r)
			return err
		})
	}
	return l, err
}

// damageOf separates damage to what was read from other errors.
func damageOf(version string, err error) (string, error, error) {
	if errors.Is(err, inventory.ErrFormat) {
		return version, err, nil
	}
	return version, nil, err
}

// merge merges what is stored into the copy in memory, if another environment stored it.
func (s *Store) merge(ctx context.Context) error {
	l, err := s.read(ctx, s.whole.version)
	if err != nil {
		return err
	}
	switch {
	case l.wholeDamage != nil && l.wholeVersion != s.whole.version, errors.Is(l.changesDamage, inventory.ErrLater):
		s.setAside(ctx, l, true)
		l.registry = nil
		if s.copied != nil {
			s.copied.Whole = "" // the next save is of the whole
		}
	case l.changesDamage != nil:
		s.setAside(ctx, l, false)
	}
	if s.isOfAnother(l.registry) {
		if err := s.setAsideOther(ctx, l); err != nil {
			return err
		}
		l.registry = nil
	}
	switch {
	case s.copied == nil:
		s.copied = l.registry
	case l.registry != nil:
		s.copied.Merge(l.registry)
	}
	s.whole.version, s.changes.version = l.wholeVersion, l.changesVersion
	return nil
}

// isOfAnother reports whether what is stored is of another registry.
func (s *Store) isOfAnother(registry *inventory.Registry) bool {
	return registry != nil && (!registry.IsOf(s.account, s.region) || s.copied != nil && !registry.IsOf(s.copied.ID, s.copied.Region))
}

// setAsideOther sets the state of another registry aside. Its owner may go on with it under
// the new name, so it must not be replaced if that fails.
func (s *Store) setAsideOther(ctx context.Context, l loaded) error {
	aside, err := s.whole.setAside(ctx, l.wholeVersion, otherSuffix)
	if err == nil && l.changesVersion != "" {
		_, err = s.changes.setAside(ctx, l.changesVersion, otherSuffix+changesSuffix)
	}
	if err != nil {
		return fmt.Errorf("setting the state of another registry (account %s, Region %s) aside: %w", l.registry.ID, l.registry.Region, err)
	}
	s.log.WarnContext(ctx, "state of another registry set aside: building the inventory anew", slog.String("state", s.String()),
		slog.String("account", l.registry.ID), slog.String("region", l.registry.Region), slog.String("aside", aside))
	return nil
}

// errChanged ends the reading of an object that has another version.
var errChanged = errors.New("the object has another version")

// Save makes the registry the copy in memory and stores it, after merging into it what
// another environment saved: its changes since the last whole or, if whole is set or they
// are too many, all of it.
func (s *Store) Save(ctx context.Context, registry *inventory.Registry, whole bool) error {
	s.copied = registry
	registry.Region = cmp.Or(s.region, registry.Region)
	var conflict error // the last one: it says why time ran out
	for n := 0; ; n++ {
		err := s.write(ctx, registry, whole)
		if err == nil {
			registry.Unsaved.Any = false
			return nil
		}
		if errors.Is(err, errConflict) && n < maxConflicts {
			conflict = err
			if err = pause(ctx, n); err == nil {
				err = s.merge(ctx)
			}
			if err == nil {
				continue
			}
		}
		if conflict != nil && !errors.Is(err, errConflict) {
			err = fmt.Errorf("%w (after %w)", err, conflict)
		}
		return fmt.Errorf("saving the state %s: %w", s, err)
	}
}

func (s *Store) write(ctx context.Context, registry *inventory.Registry, whole bool) error {
	if !whole && registry.Whole != "" && !registry.Unsaved.All {
		size, err := s.changes.replace(ctx, max(maxChanges, s.wholeSize/10), func(w io.Writer) error { return inventory.EncodeChanges(w, registry) })
		if !errors.Is(err, errTooLarge) {
			return err
		}
		s.log.DebugContext(ctx, "too many changes: saving the whole state", slog.Int64("bytes", size))
	}
	before := registry.Whole
	registry.Whole = rand.Text()
	size, err := s.whole.replace(ctx, 0, func(w io.Writer) error { return inventory.Encode(w, registry) })
	if err != nil {
		registry.Whole = before
		return err
	}
	s.wholeSize, registry.Unsaved = size, inventory.Unsaved{}
	if s.changes.version == "" {
		return nil
	}
	// What they say is in the whole. If they stay, this is noticed: they are about another
	// whole.
	if _, err := s.changes.replace(ctx, 0, func(w io.Writer) error { return inventory.EncodeChanges(w, registry) }); err != nil {
		s.log.DebugContext(ctx, "the stored changes are not emptied", slog.String("state", s.changes.String()), slog.Any("error", err))
	}
	return nil
}

// errTooLarge means that the stored form is larger than it may be.
var errTooLarge = errors.New("too large")

// replace writes what encode writes in place of the known version, and returns its size in
// bytes. Nothing is written if it is larger than most, unless that is 0.
func (o *stored) replace(ctx context.Context, most int64, encode func(io.Writer) error) (int64, error) {
	file, err := spool(o.folder(), encode)
	if err != nil {
		return 0, err
	}
	defer discard(file)
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if most > 0 && info.Size() > most {
		return info.Size(), errTooLarge
	}
	version, err := o.write(ctx, file, o.version)
	if err == nil {
		o.version = version
	}
	return info.Size(), err
}

// setAside keeps the changes, and the whole too if both cannot be used. The next save
// replaces them even if they could not be kept.
func (s *Store) setAside(ctx context.Context, l loaded, both bool) {
	var aside string
	var errs [2]error
	if l.changesVersion != "" {
		aside, errs[0] = s.changes.setAside(ctx, l.changesVersion, damagedSuffix+changesSuffix)
	}
	unusable := s.changes.object
	if both { // the whole last: a crash in between leaves no changes without one
		unusable = s.whole.object
		aside, errs[1] = s.whole.setAside(ctx, l.wholeVersion, damagedSuffix)
	}
	log := s.log.With(slog.String("state", unusable.String()), slog.Any("error", cmp.Or(l.wholeDamage, l.changesDamage)))
	if err := errors.Join(errs[:]...); err != nil {
		log.WarnContext(ctx, "unusable state could not be set aside and will be replaced: rebuilding the inventory", slog.Any("asideError", err))
		return
	}
	log.WarnContext(ctx, "unusable state set aside: rebuilding the inventory", slog.String("aside", aside))
}

// pause waits before retry n, counted from 0: a random time of at most 20 ms, doubled with
// each retry up to 1 s.
func pause(ctx context.Context, n int) error {
	timer := time.NewTimer(mathrand.N(min(time.Second, 20*time.Millisecond<<min(n, 10))) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
