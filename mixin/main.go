// Command mixin writes anew, from package source: the dashboards of Grafana in dashboards and
// those of vmui in vmui, the rules in rules and promtool's tests of them in tests, and the
// queries and alerts of README.md and docs.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write(".."); err != nil {
		fmt.Fprintln(os.Stderr, "mixin:", err)
		os.Exit(1)
	}
}

// write writes all files below the root of the repository.
func write(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write a generated file: %w", err)
		}
	}
	return nil
}

// generate returns the text of every generated file, by path from the root.
func generate(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, add := range []func(map[string]string) error{
		addDashboards, addVMUI, addRules, addTests,
		func(files map[string]string) error { return addPages(root, files) },
	} {
		if err := add(files); err != nil {
			return nil, err
		}
	}
	return files, nil
}
