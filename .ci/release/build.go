package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tags are those of GOBUILD in the Makefile, without the RPC of the former Go runtime.
const tags = "lambda.norpc"

// environ returns the environment of the Go tool for Lambda's word of an architecture:
// nothing that a machine sets for itself may change what is built.
func environ(architecture string, more ...string) []string {
	return append(append(os.Environ(),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch[architecture], "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off"), more...)
}

// build compiles the program into folder/bootstrap and returns its bytes. Neither where the
// source lies nor what git knows of it is in them.
func build(ctx context.Context, source, folder, version, architecture string, env ...string) ([]byte, error) {
	program := filepath.Join(folder, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", tags, //nolint:gosec // the version is checked, and is one argument
		"-ldflags", "-s -w -X main.version="+version, "-o", program, "./lambda")
	cmd.Dir, cmd.Env = source, environ(architecture, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s: %w\n%s", architecture, err, out)
	}
	return os.ReadFile(program)
}

// same builds the program once more, from a copy of the source at another place and with an
// empty cache, and compares the bytes.
func (r *release) same(ctx context.Context, want []byte, architecture string) error {
	fmt.Fprintf(r.w, "building for %s a second time, without a cache: takes minutes\n", architecture)
	source := filepath.Join(r.scratch, "another place", architecture)
	if err := copySource(ctx, r.source, source); err != nil {
		return err
	}
	cache := filepath.Join(r.scratch, "cache")
	got, err := build(ctx, source, filepath.Join(r.scratch, "again"), r.version, architecture, "GOCACHE="+cache)
	if err := errors.Join(err, os.RemoveAll(cache)); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %w", architecture, errDiffers)
	}
	return nil
}

// copySource copies the files that git knows, as they are in the tree.
func copySource(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "-C", from, "ls-files", "-z") //nolint:gosec // of whoever makes the release
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("listing the source: %w", err)
	}
	for file := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return err
		}
		target := filepath.Join(to, file)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o600); err != nil { //nolint:gosec // a name that git lists
			return err
		}
	}
	return nil
}

// member is a file of an archive.
type member struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// archive returns a zip of the members in their order, each with the same time, which is
// the first that zip can tell.
func archive(members []member) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, m := range members {
		header := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(m.mode)
		f, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(m.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
