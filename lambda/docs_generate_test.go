package main

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// importsPicture is a Mermaid flowchart of the imports among our packages. In the box are
// those that package lambda imports.
//
// See https://mermaid.js.org/syntax/flowchart.html.
func importsPicture(t *testing.T) string {
	t.Helper()
	imports := map[string][]string{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		imports[name] = []string{}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				imports[name] = append(imports[name], ours)
			}
		}
	}
	names := slices.Sorted(maps.Keys(imports))

	var b strings.Builder
	b.WriteString("```mermaid\nflowchart LR\n")
	fmt.Fprintf(&b, "    lambda --> wired\n    subgraph wired [\" \"]\n")
	for _, name := range imports["lambda"] {
		fmt.Fprintf(&b, "        %s\n", node(name))
	}
	b.WriteString("    end\n")
	for _, name := range names {
		if name != "lambda" && !slices.Contains(imports["lambda"], name) {
			fmt.Fprintf(&b, "    %s\n", node(name))
		}
	}
	for _, name := range names {
		if name == "lambda" || len(imports[name]) == 0 {
			continue
		}
		to := make([]string, len(imports[name]))
		for i, path := range imports[name] {
			to[i] = nodeID(path)
		}
		fmt.Fprintf(&b, "    %s --> %s\n", nodeID(name), strings.Join(to, " & "))
	}
	b.WriteString("```\n")
	return b.String()
}

func nodeID(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "pkg/"), "/", "-")
}

// node declares a node, with a text if its ID is not the name.
func node(name string) string {
	if id := nodeID(name); id != strings.TrimPrefix(name, "pkg/") {
		return id + `["` + strings.TrimPrefix(name, "pkg/") + `"]`
	}
	return nodeID(name)
}

// recordTables has the fields of the stored records, their keys and JSON names from the
// tags, and what they are from the comments.
func recordTables(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i, record := range []struct {
		title, file string
		is          reflect.Type
	}{
		{"Registry", "inventory", reflect.TypeFor[inventory.Registry]()},
		{"Repository", "repository", reflect.TypeFor[inventory.Repository]()},
		{"Summary of a repository", "summary", reflect.TypeFor[inventory.Summary]()},
		{"Total of a summary", "summary", reflect.TypeFor[inventory.Total]()},
		{"Details of a repository", "details", reflect.TypeFor[inventory.RepositoryDetails]()},
		{"Tag of a repository", "details", reflect.TypeFor[inventory.ResourceTag]()},
		{"Details of the registry", "details", reflect.TypeFor[inventory.RegistryDetails]()},
		{"Pull-through cache rule", "details", reflect.TypeFor[inventory.CacheRule]()},
		{"Replication destination", "details", reflect.TypeFor[inventory.ReplicationDestination]()},
		{"Image", "image", reflect.TypeFor[inventory.Image]()},
		{"Index", "index", reflect.TypeFor[inventory.Index]()},
		{"Child of an index", "index", reflect.TypeFor[inventory.Child]()},
		{"Findings of a platform", "index", reflect.TypeFor[inventory.PlatformFindings]()},
		{"Scan", "scan", reflect.TypeFor[inventory.Scan]()},
		{"Shape", "shape", reflect.TypeFor[inventory.Shape]()},
		{"Removed repository", "merge", reflect.TypeFor[inventory.Removal]()},
	} {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s\n\n| key | member in JSON | what |\n|---|---|---|\n", record.title)
		rows := map[int]string{}
		for _, field := range reflect.VisibleFields(record.is) {
			tag, _, _ := strings.Cut(field.Tag.Get("cbor"), ",")
			key, err := strconv.Atoi(tag)
			if err != nil {
				continue // not stored
			}
			of, file := record.is.Name(), record.file
			if len(field.Index) > 1 { // of the embedded Mark
				of, file = "Mark", "repository"
			}
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if member == "" || member == "-" {
				member = "not printed"
			} else {
				member = "`" + member + "`"
			}
			what := cmp.Or(fieldComments(t, "../pkg/inventory/"+file+".go", of)[field.Name], field.Name)
			rows[key] = fmt.Sprintf("| %d | %s | %s |\n", key, member, strings.ReplaceAll(what, "|", `\|`))
		}
		if len(rows) == 0 {
			t.Errorf("%s has no stored field", record.title)
		}
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			b.WriteString(rows[key])
		}
	}
	return b.String()
}
