package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
)

// examples are the queries and alerting rules that the documentation offers to copy, by
// name. What is tested is thus what is documented.
type examples struct {
	queries, alerts map[string]string
}

// examplePattern matches an example: a comment with its kind and name, and a code block.
var examplePattern = regexp.MustCompile("(?s)<!-- (query|alert): ([a-z-]+) -->\n```(promql|yaml)\n(.*?)```\n")

// loadExamples reads the examples of all pages.
var loadExamples = sync.OnceValues(func() (examples, error) {
	all := examples{queries: map[string]string{}, alerts: map[string]string{}}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		return all, err
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			return all, err
		}
		for _, match := range examplePattern.FindAllStringSubmatch(string(text), -1) {
			of := all.queries
			if match[1] == "alert" {
				of = all.alerts
			}
			name, example := match[2], match[4]
			if other, ok := of[name]; ok && other != example {
				return all, &differentExample{page, name}
			}
			of[name] = example
		}
	}
	return all, nil
})

// differentExample is an example that two pages show differently.
type differentExample struct{ page, name string }

func (e *differentExample) Error() string {
	return e.page + ": the example " + e.name + " is not the same as on another page"
}

func documented(t *testing.T) examples {
	t.Helper()
	all, err := loadExamples()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// documentedAlerts loads the alerting rules of a name.
func documentedAlerts(t *testing.T, prometheus *tsdbtest.Prometheus, name string) *tsdbtest.Alerts {
	t.Helper()
	rules, ok := documented(t).alerts[name]
	if !ok {
		t.Fatalf("no page has the alert %s", name)
	}
	path := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	alerts, err := prometheus.LoadAlerts(path)
	if err != nil {
		t.Fatal(err)
	}
	return alerts
}

// Every code block of PromQL or rules is an example with a name, and every example is the
// subject of a test.
func TestExamplesAreTested(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Count(string(text), "```promql\n") + strings.Count(string(text), "```yaml\ngroups:")
		if named := len(examplePattern.FindAllString(string(text), -1)); named != blocks {
			t.Errorf("%s has %d blocks of queries and rules, %d of them with a name", page, blocks, named)
		}
	}
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, test := range tests {
		text, err := os.ReadFile(test)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	all := documented(t)
	for _, of := range []map[string]string{all.queries, all.alerts} {
		for name := range of {
			if !strings.Contains(code.String(), `"`+name+`"`) {
				t.Errorf("no test is about the example %s", name)
			}
		}
	}
}
