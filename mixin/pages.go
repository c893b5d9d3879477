package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

// examplePattern matches an example of a page: a comment with its kind and name, and a
// code block.
var examplePattern = regexp.MustCompile("(?s)(<!-- (query|alert): ([a-z0-9-]+) -->\n```(?:promql|yaml)\n)(.*?)(```\n)")

// addPages writes the examples of README.md and docs anew. Every example of a page is one
// of package source, and the reverse.
func addPages(root string, files map[string]string) error {
	texts := map[string]string{}
	for _, e := range source.Examples() {
		texts["query: "+e.Name] = e.Expr + "\n"
	}
	for name, group := range map[string]source.Group{
		"running-critical": source.ByDigest(), "running-critical-by-image": source.ByImage(), "exporter": source.Alerts()[1],
	} {
		text, err := asYAML(ruleFile{[]source.Group{group}})
		if err != nil {
			return err
		}
		texts["alert: "+name] = text
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return fmt.Errorf("list the pages: %w", err)
	}
	shown := map[string]bool{}
	for _, path := range append(pages, filepath.Join(root, "README.md")) {
		page, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		unknown := ""
		changed := examplePattern.ReplaceAllStringFunc(string(page), func(example string) string {
			match := examplePattern.FindStringSubmatch(example)
			key := match[2] + ": " + match[3]
			text, ok := texts[key]
			if !ok {
				unknown = key
			}
			shown[key] = true
			return match[1] + text + match[5]
		})
		if unknown != "" {
			return fmt.Errorf("%s has the example %q, which package source does not have", path, unknown)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return fmt.Errorf("name a page: %w", err)
		}
		files[filepath.ToSlash(name)] = changed
	}
	for key := range texts {
		if !shown[key] {
			return fmt.Errorf("no page has the example %q of package source", key)
		}
	}
	return nil
}
