package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dumped runs -dump and returns the records printed.
func dumped(t *testing.T, args, environ []string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"-dump"}, args...), environ, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	var records []string
	for line := range strings.Lines(stdout.String()) {
		var record struct{ Record, Name string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("line %s: %v", line, err)
		}
		records = append(records, strings.TrimSpace(record.Record+" "+record.Name))
	}
	return records
}

// The state that a run stored in a file or S3 is printed without an endpoint or calls of ECR.
func TestDump(t *testing.T) {
	s := surround(t)
	path := filepath.Join(t.TempDir(), "state")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-once", "-state", "file://" + path}, s.environ("STATE_URL=memory:"), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	s.server.ResetObserved()
	want := dumped(t, nil, []string{"STATE_URL=file://" + path})
	if len(want) < 3 || want[0] != "registry" || !strings.HasPrefix(want[1], "repository ") || want[2] != "image" {
		t.Errorf("records %v", want)
	}
	if diff := cmp.Diff(want, dumped(t, []string{"-state", "file://" + path}, []string{"STATE_URL=file:///no/such/file"})); diff != "" {
		t.Errorf("-state does not override STATE_URL (-want +got):\n%s", diff)
	}

	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/my-bucket/folder/state.changes" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
			return
		}
		if r.Method != http.MethodGet || r.URL.Path != "/my-bucket/folder/state" {
			t.Errorf("%s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		_, _ = w.Write(stored) // a failure shows in the records printed
	}))
	defer bucket.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", bucket.URL)
	if diff := cmp.Diff(want, dumped(t, []string{"-state", "s3://my-bucket/folder/state"}, nil)); diff != "" {
		t.Errorf("from S3 (-want +got):\n%s", diff)
	}
	if calls := s.server.Requests(); len(calls) > 0 {
		t.Errorf("calls of ECR: %v", calls)
	}
}

func TestDumpFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	foreign := filepath.Join(folder, "foreign")
	if err := os.WriteFile(foreign, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"memory", nil, 2, `STATE_URL="memory:": want file:///path or s3://bucket/key for -dump`},
		{"with a run", []string{"-once"}, 2, "-dump makes no run"},
		{"no such URL", []string{"-state", "ftp://x"}, 2, `STATE_URL="ftp://x": want memory:, file:///path or s3://bucket/key`},
		{"no state", []string{"-state", "file://" + folder + "/none"}, 1, "no state is stored at file://" + folder + "/none"},
		{"no access", []string{"-state", "file://" + foreign + "/none"}, 1, "reading the state"},
		{"not ours", []string{"-state", "file://" + foreign}, 1, "not a usable inventory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := run(append([]string{"-dump"}, c.args...), nil, &stdout, &stderr)
			if code != c.code || !strings.Contains(stderr.String(), c.stderr) || stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d\nstandard error\n%s\nwant %q", code, c.code, &stderr, c.stderr)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
				t.Errorf("something was changed: %v, %v", entries, err)
			}
		})
	}
}
