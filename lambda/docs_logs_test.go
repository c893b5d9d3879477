package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// logMethods have a message: those of slog.Logger, and refresh's for what is bounded.
var logMethods = regexp.MustCompile(`^((Debug|Info|Warn|Error)(Context)?|LogAttrs|warn)$`)

// docs/logs.md has every message and every field that the function logs, and no other.
func TestMarkdownLogs(t *testing.T) {
	t.Parallel()
	messages, fields := logLines(t)
	if len(messages) < 30 || len(fields) < 20 {
		t.Errorf("only %d messages and %d fields found", len(messages), len(fields))
	}
	_, text, _ := strings.Cut(readFile(t, "../docs/logs.md"), "\n## Fields\n")
	fieldRows, messageRows, found := strings.Cut(text, "\n## Messages\n")
	if !found {
		t.Fatal("docs/logs.md has no fields and messages")
	}
	messageRows, _, _ = strings.Cut(messageRows, "\n## ")
	for name, part := range map[string]struct {
		rows   string
		logged map[string]bool
	}{"field": {fieldRows, fields}, "message": {messageRows, messages}} {
		documented := map[string]bool{}
		for line := range strings.Lines(part.rows) {
			cells := strings.Split(line, "|")
			if len(cells) < 4 || name == "field" && strings.Contains(line, "| every line |") {
				continue
			}
			for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[match[1]] = true
				if !part.logged[match[1]] {
					t.Errorf("no %s %q is logged", name, match[1])
				}
			}
		}
		for text := range part.logged {
			if !documented[text] {
				t.Errorf("docs/logs.md has no %s %q", name, text)
			}
		}
	}
}

// Each symptom of docs/troubleshooting.md has a query in docs/logs.md, whose messages are
// logged, and whose members the summary has.
func TestMarkdownLogQueries(t *testing.T) {
	t.Parallel()
	rows := func(text string) (symptoms, rest []string) {
		for line := range strings.Lines(text) {
			cells := strings.SplitN(strings.TrimSpace(line), " | ", 2)
			if symptom, isRow := strings.CutPrefix(cells[0], "| "); isRow && len(cells) == 2 && symptom != "symptom" {
				symptoms, rest = append(symptoms, symptom), append(rest, cells[1])
			}
		}
		return symptoms, rest
	}
	_, queries, _ := strings.Cut(readFile(t, "../docs/logs.md"), "\n## Queries\n")
	want, _ := rows(readFile(t, "../docs/troubleshooting.md"))
	got, filters := rows(queries)
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 20 {
		t.Errorf("symptoms of %d (-troubleshooting +logs):\n%s", len(want), diff)
	}
	messages, _ := logLines(t)
	_, members, _ := strings.Cut(readFile(t, "../docs/operations.md"), "## The summary of a run\n")
	members, _, _ = strings.Cut(members, "\n## ")
	for _, filter := range filters {
		for _, match := range regexp.MustCompile(`message (?:=|like) "([^"]+)"`).FindAllStringSubmatch(filter, -1) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(messages)), func(m string) bool { return strings.Contains(m, match[1]) }) {
				t.Errorf("no message has %q", match[1])
			}
		}
		for _, match := range regexp.MustCompile(`summary((?:\.[A-Za-z]+)+)`).FindAllStringSubmatch(filter, -1) {
			for member := range strings.SplitSeq(match[1][1:], ".") {
				if !strings.Contains(members, "`"+member+"`") {
					t.Errorf("the summary has no %s", match[1])
				}
			}
		}
	}
}

// logLines returns the messages and fields in the source of the function. Of a message that is
// put together it returns the first constant part.
func logLines(t *testing.T) (messages, fields map[string]bool) {
	t.Helper()
	messages, fields = map[string]bool{}, map[string]bool{}
	visit := func(node ast.Node) bool {
		call, isCall := node.(*ast.CallExpr)
		if !isCall {
			return true
		}
		method, isMethod := call.Fun.(*ast.SelectorExpr)
		if !isMethod {
			return true
		}
		if owner, named := method.X.(*ast.Ident); named && owner.Name == "slog" && len(call.Args) > 1 {
			if text := literal(call.Args[0]); text != "" {
				fields[text] = true
			}
			return true
		}
		if logMethods.MatchString(method.Sel.Name) {
			for _, arg := range call.Args[:min(3, len(call.Args))] {
				if text := literal(arg); text != "" {
					messages[text] = true
					break
				}
			}
		}
		return true
	}
	for _, root := range []string{".", "../pkg"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (strings.HasSuffix(path, "test") || root == "." && path != "."):
				return fs.SkipDir // simulators, and programs of their own
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, visit)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	delete(fields, "requestId") // in every line
	return messages, fields
}

// literal returns the first constant text of an expression, or nothing.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if e.Kind == token.STRING && err == nil {
			return text
		}
	case *ast.BinaryExpr:
		if text := literal(e.X); text != "" {
			return text
		}
		return literal(e.Y)
	}
	return ""
}
