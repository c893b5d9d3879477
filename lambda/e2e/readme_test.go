package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestReadme checks that what docs offers to copy is what these tests evaluate.
func TestReadme(t *testing.T) {
	t.Parallel()
	var docs strings.Builder
	for _, page := range []string{"metrics", "operations"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(text)
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
		if !strings.Contains(docs.String(), block) {
			t.Errorf("docs/metrics.md and docs/operations.md are without %s as it is tested:\n%s", name, block)
		}
	}
}
