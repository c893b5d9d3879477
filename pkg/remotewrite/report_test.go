package remotewrite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasons: Reasons are all constants of that type, wherever they are declared,
// and no two are the same word.
func TestReasons(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var declared []Reason
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		declared = append(declared, reasonsIn(t, file)...)
	}
	got := slices.Sorted(slices.Values(Reasons))
	slices.Sort(declared)
	if diff := cmp.Diff(declared, got); diff != "" {
		t.Errorf("Reasons (-declared +listed):\n%s", diff)
	}
	if n := len(slices.Compact(got)); n != len(declared) {
		t.Errorf("%d different words for %d reasons", n, len(declared))
	}
}

// reasonsIn are the values of a file's constants of type Reason.
func reasonsIn(t *testing.T, file *ast.File) []Reason {
	t.Helper()
	var all []Reason
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec) //nolint:forcetypeassert // a const declaration has no others
			if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
				continue
			}
			for i, name := range v.Names {
				text, ok := v.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is not written out", name)
				}
				word, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all = append(all, Reason(word))
			}
		}
	}
	return all
}
