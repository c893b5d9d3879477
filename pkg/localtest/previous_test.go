//go:build unix

package localtest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// repository is a git repository in a temporary folder.
type repository struct {
	*testing.T
	folder string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "-q")
	return r
}

func (r repository) git(args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"-C", r.folder, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits a file with a text and returns the commit.
func (r repository) commit(name, text string) string {
	r.Helper()
	path := filepath.Join(r.folder, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		r.Fatal(err)
	}
	r.git("add", ".")
	r.git("commit", "-q", "-m", text)
	return r.git("rev-parse", "HEAD")
}

// find returns the version of the previous release, and the file "main" of its source.
func (r repository) find() (version, text string) {
	r.Helper()
	previous, err := localtest.FindPrevious(r.Context(), r.folder)
	if err != nil {
		r.Fatal(err)
	}
	folder := filepath.Join(r.TempDir(), "source")
	for range 2 { // a folder of an earlier run does not matter
		if err := previous.Extract(r.Context(), folder); err != nil {
			r.Fatal(err)
		}
	}
	content, err := os.ReadFile(filepath.Join(folder, "main"))
	if err != nil {
		r.Fatal(err)
	}
	return previous.Version, string(content)
}

func TestFindPrevious(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	first := r.commit("main", "first")
	if _, err := localtest.FindPrevious(t.Context(), r.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a tag and a file: error %v", err)
	}
	r.commit(".ci/previous", first+"\n")
	r.commit("main", "second")
	if version, text := r.find(); version != first[:9] || text != "first" {
		t.Errorf("without a tag: %s with %q", version, text)
	}
	r.git("tag", "v1.0.0")
	if version, text := r.find(); version != first[:9] || text != "first" {
		t.Errorf("at the first release: %s with %q", version, text)
	}
	r.commit("main", "third")
	r.git("tag", "other")
	r.commit("main", "fourth")
	if version, text := r.find(); version != "v1.0.0" || text != "second" {
		t.Errorf("after it: %s with %q", version, text)
	}
	r.git("tag", "v1.1.0")
	if version, text := r.find(); version != "v1.0.0" || text != "second" {
		t.Errorf("at the second release: %s with %q", version, text)
	}
}

// A clone without history is told from a fault.
func TestFindPreviousWithoutHistory(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	first := r.commit("main", "first")
	r.commit(".ci/previous", first+"\n")
	shallow := repository{t, t.TempDir()}
	r.git("clone", "-q", "--depth", "1", "file://"+r.folder, shallow.folder)
	if _, err := localtest.FindPrevious(t.Context(), shallow.folder); !errors.Is(err, localtest.ErrNoPrevious) {
		t.Errorf("a shallow clone: error %v, want ErrNoPrevious", err)
	}
	if err := os.RemoveAll(filepath.Join(shallow.folder, ".git")); err != nil {
		t.Fatal(err)
	}
	if _, err := localtest.FindPrevious(t.Context(), shallow.folder); !errors.Is(err, localtest.ErrNoPrevious) {
		t.Errorf("no repository: error %v, want ErrNoPrevious", err)
	}
}
