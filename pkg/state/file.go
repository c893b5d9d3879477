package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// File keeps the inventory in a file.
//
// What another process wrote is merged before the file is replaced. There is no
// lock: of two that replace it in the same instant, one's last run is forgotten by
// the file, though not by that process, whose next save brings it back.
type File struct {
	path string
	log  *slog.Logger

	registry *inventory.Registry // the copy in memory, nil if there is none
	version  fileVersion         // of the file whose content registry has
}

// fileVersion tells whether somebody else wrote the file in the meantime. It is zero
// for no file.
type fileVersion struct {
	modified time.Time
	size     int64
}

// NewFile returns a store in the file of that path, whose folder is made when it
// is first written. log may be nil.
func NewFile(path string, log *slog.Logger) *File {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &File{path: path, log: log}
}

// Load returns the newest inventory: the copy in memory, with what the file knows
// better if it changed; nil if there is neither. A file that cannot be understood is
// set aside under another name, logged, and counts as none: the inventory is rebuilt
// from ECR. With an error the copy in memory is returned, if there is one.
func (f *File) Load(ctx context.Context) (*inventory.Registry, error) {
	if err := f.pull(ctx); err != nil {
		return f.registry, fmt.Errorf("loading the state: %w", err)
	}
	return f.registry, nil
}

// Read returns what the file holds and changes nothing: nil if there is no file, an
// error that matches inventory.ErrFormat if it cannot be understood.
func (f *File) Read(context.Context) (*inventory.Registry, error) {
	registry, _, err := f.read(fileVersion{})
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w", err)
	}
	return registry, nil
}

// pull takes over into the copy in memory what the file knows better.
func (f *File) pull(ctx context.Context) error {
	stored, version, err := f.read(f.version)
	if errors.Is(err, inventory.ErrFormat) {
		err = f.setAside(ctx, err)
	}
	if err != nil {
		return err
	}
	f.registry, f.version = merged(ctx, f.registry, stored, f.log), version
	return nil
}

// read returns the file's content and version; no content if there is no file, or if
// its version is the known one.
func (f *File) read(known fileVersion) (*inventory.Registry, fileVersion, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fileVersion{}, nil
	}
	if err != nil {
		return nil, fileVersion{}, err
	}
	defer file.Close()
	version, err := versionOf(file)
	if err != nil || version == known {
		return nil, version, err
	}
	registry, err := inventory.Decode(bufio.NewReader(file))
	if err != nil {
		return nil, fileVersion{}, fmt.Errorf("%s: %w", f.path, err)
	}
	return registry, version, nil
}

// setAside moves a file that is not ours, or not whole, out of the way. Only the
// newest such file is kept.
func (f *File) setAside(ctx context.Context, cause error) error {
	aside := f.path + damagedSuffix
	if err := os.Rename(f.path, aside); err != nil {
		return fmt.Errorf("setting the state aside, which cannot be used (%w): %w", cause, err)
	}
	f.log.WarnContext(ctx, "the state cannot be used: it is set aside, and the inventory is rebuilt",
		slog.String("path", f.path), slog.String("aside", aside), slog.Any("error", cause))
	return nil
}

// Save makes the registry the copy in memory and writes it to the file, after
// merging into it what another process wrote since. The file is replaced as a whole:
// a crash leaves the old one or the new one.
func (f *File) Save(ctx context.Context, registry *inventory.Registry) (err error) {
	f.registry = registry
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving the state: %w", err)
		}
	}()
	if err := f.pull(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails after the rename, which is well
	defer file.Close()
	if err := encode(file, registry); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	version, err := versionOf(file)
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), f.path); err != nil {
		return err
	}
	f.version = version
	return nil
}

// encode writes the stored form to a file.
func encode(file *os.File, registry *inventory.Registry) error {
	out := bufio.NewWriter(file)
	if err := inventory.Encode(out, registry); err != nil {
		return err
	}
	return out.Flush()
}

func versionOf(file *os.File) (fileVersion, error) {
	info, err := file.Stat()
	if err != nil {
		return fileVersion{}, err
	}
	return fileVersion{info.ModTime(), info.Size()}, nil
}
