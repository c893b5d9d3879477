package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// awsExampleKey begins the secret key of AWS's own examples, which tests use too.
const awsExampleKey = "wJalrXUtnFEMI"

// TestNoSecretInTestOutput runs all tests of the main module with everything logged
// that can be, and looks for the secrets that they plant in configuration, headers
// and answers.
func TestNoSecretInTestOutput(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs all tests of the main module")
	}
	out := runTests(t, filepath.Join("..", ".."))
	if n := strings.Count(out, "\n--- PASS: Test"); n < 300 {
		t.Errorf("%d tests ran:\n%s", n, out[max(0, len(out)-4000):])
	}
	for _, text := range leaks(out, awsExampleKey) {
		t.Errorf("the tests' output tells: …%s…", text)
	}
}

// TestSecretInTestOutput is the control: a planted secret that a test logs is found,
// although that test passes.
func TestSecretInTestOutput(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module control\n\ngo 1.26.0\n",
		"control_test.go": `package control

import (
	"log/slog"
	"os"
	"testing"
)

func TestLogs(t *testing.T) {
	t.Log("a header: " + os.Getenv("LOG_LEVEL") + " ` + planted + `-logged")
}

func TestDebugs(t *testing.T) {
	slog.Info("key", "is", "` + awsExampleKey + `")
}
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := runTests(t, folder)
	if found := leaks(out, awsExampleKey); len(found) != 2 || !strings.Contains(out, "DEBUG "+planted+"-logged") {
		t.Errorf("found %q in\n%s", found, out)
	}
}

// runTests runs the tests of a module as go test does by itself, so that what has not
// changed comes from its cache, and returns all they print. Whether they pass is for
// others to judge.
func runTests(t *testing.T, folder string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "./...")
	cmd.Dir = folder
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LOG_LEVEL=") || strings.HasPrefix(v, "GOFLAGS=")
	}), "LOG_LEVEL=DEBUG", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return string(out)
}
