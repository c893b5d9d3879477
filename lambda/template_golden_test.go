package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// What a stack consists of: its resources, the function's environment, the role's
// permissions and the outputs, with as few parameters as possible, with all, with all that
// it can create, and for an organisation.
func TestTemplateGolden(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]map[string]string{"default": toWorkspace, "all": allParameters, "created": allCreated, "organisation": organisation} {
		s := newStack(t, template(t), given)
		if refused := s.refused(); len(refused) > 0 {
			t.Fatalf("%s: the rules refuse it: %q", name, refused)
		}
		var b strings.Builder
		resources := s.present("Resources")
		section := func(title string, lines []string) {
			fmt.Fprintf(&b, "%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
		var lines []string
		for _, id := range slices.Sorted(maps.Keys(resources)) {
			lines = append(lines, id+" "+fmt.Sprint(resources[id].(map[string]any)["Type"]))
		}
		section("resources", lines)
		lines = nil
		variables := dig(t, properties(resources, "ExporterFunction"), "Environment", "Variables").(map[string]any)
		for _, variable := range slices.Sorted(maps.Keys(variables)) {
			if variables[variable] != "" {
				lines = append(lines, fmt.Sprint(variable, "=", variables[variable]))
			}
		}
		section("environment", lines)
		section("permissions", permissions(t, properties(resources, "ExporterRole")["Policies"]))
		lines = nil
		for id, output := range s.present("Outputs") {
			lines = append(lines, fmt.Sprint(id, " ", output.(map[string]any)["Value"]))
		}
		slices.Sort(lines)
		section("outputs", lines)

		file := "testdata/template-" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-golden +template.yaml):\n%s", file, diff)
		}
	}
}

// The three sets of parameters have them all.
func TestTemplateAllParameters(t *testing.T) {
	t.Parallel()
	parameters := at(t, template(t), "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		name, byDefault := parameters.Content[i].Value, child(parameters.Content[i+1], "Default").Value
		changed := slices.ContainsFunc([]map[string]string{allParameters, allCreated, organisation}, func(set map[string]string) bool { return cmp.Or(set[name], byDefault) != byDefault })
		if !changed && name != "RemoteWriteRoleArn" && name != "RemoteWriteBearerToken" {
			t.Errorf("%s has its default in all", name)
		}
	}
}
