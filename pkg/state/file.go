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

// File keeps the inventory in a file, and the newest copy of it in memory too.
type File struct {
	path string
	log  *slog.Logger

	registry *inventory.Registry
	version  fileVersion // of the file that registry equals
}

// fileVersion tells whether somebody else wrote the file in the meantime.
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

// Load returns the stored inventory; nil if there is none. A file that cannot be
// understood is set aside under another name, logged, and counts as none: the
// inventory is rebuilt from ECR.
func (f *File) Load(ctx context.Context) (*inventory.Registry, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading the state: %w", err)
	}
	defer file.Close()
	version, err := versionOf(file)
	if err != nil {
		return nil, fmt.Errorf("loading the state: %w", err)
	}
	if f.registry != nil && version == f.version {
		return f.registry, nil
	}
	registry, err := inventory.Decode(bufio.NewReader(file))
	if errors.Is(err, inventory.ErrFormat) {
		return nil, f.setAside(ctx, err)
	}
	if err != nil {
		return nil, fmt.Errorf("loading the state %s: %w", f.path, err)
	}
	f.registry, f.version = registry, version
	return registry, nil
}

// setAside moves a file that is not ours, or not whole, out of the way. Only the
// newest such file is kept.
func (f *File) setAside(ctx context.Context, cause error) error {
	aside := f.path + ".damaged"
	if err := os.Rename(f.path, aside); err != nil {
		return fmt.Errorf("setting the state aside, which cannot be used (%w): %w", cause, err)
	}
	f.log.WarnContext(ctx, "the state cannot be used: it is set aside, and the inventory is rebuilt",
		slog.String("path", f.path), slog.String("aside", aside), slog.Any("error", cause))
	return nil
}

// Save replaces the file as a whole: a crash leaves the old one or the new one.
func (f *File) Save(_ context.Context, registry *inventory.Registry) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving the state: %w", err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails after the rename, which is well
	defer file.Close()
	out := bufio.NewWriter(file)
	if err := inventory.Encode(out, registry); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
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
	f.registry, f.version = registry, version
	return nil
}

func versionOf(file *os.File) (fileVersion, error) {
	info, err := file.Stat()
	if err != nil {
		return fileVersion{}, err
	}
	return fileVersion{info.ModTime(), info.Size()}, nil
}
