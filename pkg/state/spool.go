package state

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// spoolPattern is the name of the temporary files.
const spoolPattern = "ecr-remote-write-state-*.tmp"

// spoolAge is the age from which a temporary file is one that a killed process left. No save
// takes nearly as long.
const spoolAge = time.Hour

// spool writes what encode writes to a new temporary file, so that it is never in memory as
// a whole. The caller discards the file. Those that killed processes left in the folder are
// removed.
func spool(folder string, encode func(io.Writer) error) (*os.File, error) {
	if folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	removeLeft(cmp.Or(folder, os.TempDir()))
	file, err := os.CreateTemp(folder, spoolPattern)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(file)
	if err = encode(out); err == nil {
		err = out.Flush()
	}
	if err != nil {
		discard(file)
		return nil, fmt.Errorf("writing %s: %w", file.Name(), err)
	}
	return file, nil
}

// removeLeft removes old temporary files from a folder. One that cannot be removed, such as
// another user's, is no fault.
func removeLeft(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if ours, err := filepath.Match(spoolPattern, entry.Name()); err != nil || !ours {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > spoolAge {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}

// discard closes and removes a temporary file. One that was renamed or closed is no fault.
func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}
