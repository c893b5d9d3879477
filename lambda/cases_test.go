package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// issueCase is a case that the issue behind the rules of docs/simulation.md names: a fault that
// broke a rule. It is run through the handler, or another test or a document has it.
type issueCase struct {
	rule int
	name string
	// settings are those of the function that are not the defaults.
	settings []string
	run      func(w *caseWorld)
	// test is a test as package.Test or package.Test/part, where part is in its source.
	test string
	// file and text are a file and what it has to say.
	file, text string
}

// cases are in files by rule.
func cases() (all []issueCase) {
	for _, some := range [][]issueCase{casesOfState, casesOfListings, casesOfDelivery, casesOfBounds} {
		all = append(all, some...)
	}
	return all
}

// Every case of the issue is handled. The rows that are run have the state in S3 and no other
// faults than their own.
func TestCases(t *testing.T) {
	isolate(t)
	rules := map[int]int{}
	for _, c := range cases() {
		rules[c.rule]++
		t.Run(c.name, func(t *testing.T) {
			switch {
			case c.run != nil:
				synctest.Test(t, func(t *testing.T) { c.run(newCaseWorld(t, c.settings...)) })
			case c.test != "":
				checkTestExists(t, c.test)
			default:
				text := strings.Join(strings.Fields(strings.ReplaceAll(readFile(t, "../"+c.file), "#", " ")), " ")
				if c.text == "" || !strings.Contains(text, c.text) {
					t.Errorf("%s does not say %q", c.file, c.text)
				}
			}
		})
	}
	for rule := 1; rule <= 12; rule++ {
		if rules[rule] == 0 {
			t.Errorf("no case of rule %d", rule)
		}
	}
}

// checkTestExists checks that a package has a test, and that the test has a part.
func checkTestExists(t *testing.T, name string) {
	t.Helper()
	name, part, _ := strings.Cut(name, "/part:")
	i := strings.LastIndex(name, ".")
	files, err := filepath.Glob("../" + name[:i] + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", name[:i], err)
	}
	for _, path := range files {
		text := readFile(t, path)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name[i+1:] {
				if !strings.Contains(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset], part) {
					t.Errorf("%s has no %q", name, part)
				}
				return
			}
		}
	}
	t.Errorf("there is no test %s", name)
}
