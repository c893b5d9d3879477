package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The patches in testdata/simulate, each named after the rule that it undoes, apply.
func TestPatches(t *testing.T) {
	t.Parallel()
	for _, patch := range patches(t) {
		if _, _, err := applied(patch); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

// TestSimulateUndone checks that the simulation fails with each rule undone: one of 200 seeds
// has a finding of that rule. It takes minutes, so it needs SIMULATE_UNDONE: see make undone.
func TestSimulateUndone(t *testing.T) {
	if os.Getenv("SIMULATE_UNDONE") == "" {
		t.Skip("SIMULATE_UNDONE is not set")
	}
	for _, patch := range patches(t) {
		rule := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(patch), "rule"), ".patch")
		t.Run(rule, func(t *testing.T) {
			program := buildUndone(t, patch)
			const seeds, step = 200, 10
			for from := 1; from <= seeds; from += step {
				run := exec.CommandContext(t.Context(), program, "-test.run", "^TestSimulate$")
				run.Env = append(os.Environ(), fmt.Sprint("SIMULATE_SEEDS=", step), fmt.Sprint("SIMULATE_FROM=", from))
				var report bytes.Buffer
				run.Stderr = &report
				err := run.Run()
				if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				for line := range strings.Lines(report.String()) {
					if strings.HasPrefix(line, "seed ") && strings.Contains(line, "(rule "+rule+")") {
						t.Logf("rule %s: %s", rule, line)
						return
					}
				}
			}
			t.Errorf("no finding of rule %s in %d seeds", rule, seeds)
		})
	}
}

func patches(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/simulate/*.patch")
	if err != nil || len(found) == 0 {
		t.Fatalf("no patches: %v", err)
	}
	return found
}

// buildUndone builds the simulation with a patch, which a copy of the file has.
func buildUndone(t *testing.T, patch string) string {
	t.Helper()
	path, text, err := applied(patch)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file, overlay, program := filepath.Join(folder, "patched.go"), filepath.Join(folder, "overlay.json"), filepath.Join(folder, "simulate")
	original, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err := errors.Join(err, os.WriteFile(file, text, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// applied returns the path and content of a file with a patch of one hunk. The hunk's place
// is found by its text: line numbers change too often.
func applied(patch string) (path string, text []byte, err error) {
	diff, err := os.ReadFile(patch)
	if err != nil {
		return "", nil, err
	}
	var before, after strings.Builder
	for line := range strings.Lines(string(diff)) {
		switch mark, rest := line[:1], line[1:]; {
		case strings.HasPrefix(line, "--- a/"):
			path = filepath.Join("..", strings.TrimSpace(line[len("--- a/"):]))
		case path == "" || strings.HasPrefix(line, "+++ ") || mark == "@":
		case mark == " ":
			before.WriteString(rest)
			after.WriteString(rest)
		case mark == "-":
			before.WriteString(rest)
		case mark == "+":
			after.WriteString(rest)
		}
	}
	if text, err = os.ReadFile(path); err != nil {
		return "", nil, err
	}
	if n := bytes.Count(text, []byte(before.String())); n != 1 || before.Len() == 0 {
		return "", nil, fmt.Errorf("its text is %d times in %s, want once", n, path)
	}
	return path, bytes.Replace(text, []byte(before.String()), []byte(after.String()), 1), nil
}
