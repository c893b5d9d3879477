package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// file is an object in the file system. Its version is its time of modification and size.
type file struct {
	path  string
	whole string // path of the whole, which names what is set aside
}

// NewFile returns a Store in a file, whose folder is made with the first save. log may be
// nil.
//
// The file is replaced as a whole, so a crash leaves the old or the new one. It is not
// locked: of two processes that replace it at the same moment, one's changes are missing
// until its next save.
func NewFile(path string, log *slog.Logger) *Store {
	return newStore(file{path, path}, file{path + changesSuffix, path}, log)
}

func (f file) String() string { return "file://" + f.path }

func (f file) folder() string { return filepath.Dir(f.path) }

func (f file) read(_ context.Context, known string, decode func(io.Reader) error) (string, error) {
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	version, err := versionOf(in.Stat())
	if err != nil || version == known {
		return version, err
	}
	return version, decode(bufio.NewReader(in))
}

func (f file) write(_ context.Context, out *os.File, known string) (string, error) {
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

func (f file) setAside(_ context.Context, _, suffix string) (string, error) {
	aside := file{path: f.whole + suffix}
	return aside.String(), os.Rename(f.path, aside.path)
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
