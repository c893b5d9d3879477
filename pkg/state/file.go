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

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// file is an object in the file system. Its version is its time of modification and size.
type file struct{ path string }

// NewFile returns a Store in a file, whose folder is made with the first save. log may be
// nil.
//
// The file is replaced as a whole, so a crash leaves the old or the new one. It is not
// locked: of two processes that replace it at the same moment, one's changes are missing
// until its next save.
func NewFile(path string, log *slog.Logger) *Store { return newStore(file{path}, log) }

func (f file) String() string { return "file://" + f.path }

func (f file) read(_ context.Context, known string) (*inventory.Registry, string, error) {
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer in.Close()
	version, err := versionOf(in.Stat())
	if err != nil || version == known {
		return nil, version, err
	}
	registry, err := inventory.Decode(bufio.NewReader(in))
	return registry, version, err
}

func (f file) write(_ context.Context, registry *inventory.Registry, known string) (string, error) {
	folder := filepath.Dir(f.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	out, err := spool(folder, filepath.Base(f.path)+".*.tmp", registry)
	if err != nil {
		return "", err
	}
	defer discard(out)
	if err := out.Sync(); err != nil {
		return "", err
	}
	version, err := versionOf(out.Stat())
	if err != nil {
		return "", err
	}
	present, err := versionOf(os.Stat(f.path))
	if err != nil {
		return "", err
	}
	if present != known {
		return "", errConflict
	}
	return version, os.Rename(out.Name(), f.path)
}

func (f file) setAside(context.Context, string) (string, error) {
	return f.String() + damagedSuffix, os.Rename(f.path, f.path+damagedSuffix)
}

// versionOf returns a file's version, empty if it does not exist.
func versionOf(info fs.FileInfo, err error) (string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes at %d", info.Size(), info.ModTime().UnixNano()), nil
}
