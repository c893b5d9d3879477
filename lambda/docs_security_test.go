package main

import (
	"regexp"
	"slices"
	"testing"
)

// docs/SECURITY.md explains each rule of gosec that .golangci.yml excludes, once.
func TestMarkdownGosec(t *testing.T) {
	t.Parallel()
	rules := func(file, pattern string) []string {
		var found []string
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(readFile(t, file), -1) {
			found = append(found, match[1])
		}
		return found
	}
	excluded, explained := rules("../.golangci.yml", `(?m)^ +- (G\d+)\b`), rules("../docs/SECURITY.md", `(?m)^\| (G\d+) \|`)
	if len(excluded) == 0 || !slices.Equal(excluded, explained) {
		t.Errorf("excluded are %q, and explained %q", excluded, explained)
	}
}
