package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// contents are the files below a folder, and their contents.
func contentsOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			files[path] = "a folder"
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// -dry-run and -dump write nothing, whatever is stored: no state, nothing set aside, no
// folder, no temporary file, and no request that changes anything.
func TestNothingIsWritten(t *testing.T) {
	s := surround(t)
	stored := func(account, region string) string {
		var out bytes.Buffer
		if err := inventory.Encode(&out, &inventory.Registry{ID: account, Region: region, ListedAt: 1}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for name, content := range map[string]string{
		"nothing": "", "ours": stored(account, region), "damaged": "something else",
		"another account's": stored("210987654321", region), "another Region's": stored(account, "us-east-1"),
	} {
		for _, flag := range []string{"-dry-run", "-dump"} {
			folder := t.TempDir()
			path := filepath.Join(folder, "made", "state")
			if content != "" {
				if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method != http.MethodGet:
					t.Errorf("%s, %s: %s %s", name, flag, r.Method, r.URL)
					w.WriteHeader(http.StatusNotImplemented)
				case content == "" || strings.HasSuffix(r.URL.Path, ".changes"):
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
				default:
					_, _ = io.WriteString(w, content) // what -dump prints depends on it
				}
			}))
			t.Setenv("AWS_ENDPOINT_URL_S3", bucket.URL)
			before := contentsOf(t, folder)
			for _, url := range []string{"file://" + path, "s3://my-bucket/folder/state"} {
				var stdout, stderr bytes.Buffer
				code := run([]string{flag, "-state", url}, []string{"SCAN_SOURCE=none", "ECR_REGISTRY_ID=" + account}, &stdout, &stderr)
				fails := flag == "-dump" && (name == "nothing" || name == "damaged")
				if (code != 0) != fails || fails != (stdout.Len() == 0) || flag == "-dry-run" && !strings.Contains(stdout.String(), `name="app"`) {
					t.Errorf("%s, %s of %s: exit code %d\n%s%s", name, flag, url, code, &stdout, &stderr)
				}
			}
			bucket.Close()
			if diff := cmp.Diff(before, contentsOf(t, folder)); diff != "" {
				t.Errorf("%s, %s: files (-before +after):\n%s", name, flag, diff)
			}
		}
	}
	if files := contentsOf(t, temporary); len(files) != 1 {
		t.Errorf("temporary files %v", files)
	}
	if n := len(s.receiver.Requests()); n > 0 {
		t.Errorf("%d pushes", n)
	}
}

// An event that is too large is not read to its end.
func TestEventTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event")
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), 6<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func(stdin *os.File) { os.Stdin = stdin }(os.Stdin)
	for _, name := range []string{path, "-"} {
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		os.Stdin = in
		var stdout, stderr bytes.Buffer
		if code := run([]string{"-event", name}, []string{"REMOTE_WRITE_URL=http://127.0.0.1:1"}, &stdout, &stderr); code != 1 || stderr.String() != "ecr-remote-write: reading the event: more than 6 MiB\n" {
			t.Errorf("%s: exit code %d, standard error\n%s", name, code, &stderr)
		}
		in.Close()
	}
}
