package e2e

import (
	"os"
	"strings"
	"testing"
)

// awsExampleKey begins the secret key of AWS's own examples, which tests use too.
const awsExampleKey = "wJalrXUtnFEMI"

// testOutput names the file with what the tests of the main module printed, with -v and
// LOG_LEVEL=DEBUG. make test sets it.
const testOutput = "TEST_OUTPUT"

// TestNoSecretInTestOutput looks for the secrets that the tests of the main module use
// in configuration, headers and responses in everything that these tests printed.
func TestNoSecretInTestOutput(t *testing.T) {
	t.Parallel()
	path := os.Getenv(testOutput)
	if path == "" {
		t.Skip("make test runs it: $" + testOutput + " names no file")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	passed, debug := strings.Count(out, "\n--- PASS: Test"), strings.Count(out, "DEBUG")
	if passed < 300 || debug < 300 {
		t.Errorf("%d tests passed and %d lines are of level DEBUG; want at least 300 of both", passed, debug)
	}
	for _, found := range leaks(out, awsExampleKey) {
		t.Errorf("a secret is in the tests' output: …%s…", found)
	}
	// The control: secrets in the middle of that output are found.
	half := len(out) / 2
	for _, secret := range []string{planted + "-logged", awsExampleKey} {
		if found := leaks(out[:half]+secret+out[half:], awsExampleKey); len(found) != 1 {
			t.Errorf("%s in the output was found %d times, want once", secret, len(found))
		}
	}
}
