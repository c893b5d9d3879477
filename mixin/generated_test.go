package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGenerated finds files that differ from what make mixin writes, and files that it no
// longer writes.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what make mixin writes", name)
		}
	}
	for _, pattern := range []string{"dashboards/*", "vmui/*", "rules/*", "tests/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			if _, ok := files["mixin/"+filepath.ToSlash(name)]; !ok {
				t.Errorf("make mixin does not write %s", name)
			}
		}
	}
}
