package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestReadme checks that the rules and queries in the README are those that are tested
// here.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	offered := map[string]string{}
	for _, name := range []string{"alerts", "exporter-alerts"} {
		rules, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		offered["the rules "+name] = "```yaml\n" + string(rules) + "```\n"
	}
	for name, text := range exampleQueries(t) {
		_, query, found := strings.Cut(text, "\n") // after its comment
		if !found {
			t.Fatalf("the query %s has no second line", name)
		}
		offered["the query "+name] = "```promql\n" + query + "```\n"
	}
	for name, block := range offered {
		if !strings.Contains(string(readme), block) {
			t.Errorf("README.md does not have %s as tested:\n%s", name, block)
		}
	}
}
