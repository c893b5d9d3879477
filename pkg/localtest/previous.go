//go:build unix

package localtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Previous is the release before this one.
type Previous struct {
	Version string
	commit  string
	root    string // of the repository
}

// previousFile has the commit that counts as the previous release while there is no tag.
const previousFile = ".ci/previous"

// ErrNoPrevious says that the previous release is not in the history at hand.
var ErrNoPrevious = errors.New("the previous release is not in the history of this clone")

// FindPrevious finds the release before what is checked out in the repository at root: the
// last tag of a version before HEAD or, without one, the commit that a file names.
func FindPrevious(ctx context.Context, root string) (Previous, error) {
	p := Previous{root: root}
	tag, err := p.git(ctx, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
	if err == nil {
		p.Version, p.commit = tag, tag
		return p, nil
	}
	named, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(previousFile)))
	if err != nil {
		return p, fmt.Errorf("find the previous release: %w", err)
	}
	if p.commit, err = p.git(ctx, "rev-parse", "--verify", strings.TrimSpace(string(named))+"^{commit}"); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNoPrevious, err)
	}
	p.Version = p.commit[:min(len(p.commit), 9)]
	return p, nil
}

// Extract writes its source to a folder, which is made anew.
func (p Previous) Extract(ctx context.Context, folder string) error {
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o750)); err != nil {
		return fmt.Errorf("make a folder for %s: %w", p.Version, err)
	}
	archive := filepath.Join(folder, "source.tar")
	if _, err := p.git(ctx, "archive", "--output", archive, p.commit); err != nil {
		return fmt.Errorf("extract %s: %w", p.Version, err)
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", folder).CombinedOutput(); err != nil {
		return fmt.Errorf("extract %s: tar: %w: %s", p.Version, err, out)
	}
	return os.Remove(archive)
}

// git runs git in the repository and returns what it wrote.
func (p Previous) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", p.root}, args...)...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
