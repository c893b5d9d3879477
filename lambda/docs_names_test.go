package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// text returns a page with its code blocks.
func (p page) text() string {
	var b strings.Builder
	b.WriteString(strings.Join(p.prose, "\n"))
	for _, block := range p.blocks {
		b.WriteString("\n" + block.text)
	}
	return b.String()
}

// Every family and setting is in docs, and every one that a page names exists.
func TestMarkdownFamiliesAndSettings(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, family := range slices.Concat(metrics.Families(), metrics.RunFamilies(), metrics.FleetFamilies()) {
		names[family.Name] = true
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		names[field.Tag.Get("env")] = true
	}
	delete(names, "-")
	pattern := regexp.MustCompile(`\b(aws_ecr_[a-z_]*[a-z]|(REMOTE_WRITE|ECR|SCAN|STATE|REPOSITORIES|TAGS|FAMILIES|IMAGES|UNTAGGED|CACHE|REFRESH|EXTERNAL|CLOUDWATCH)_[A-Z_]*[A-Z])\b`)
	others := []string{"SCAN_NOT_FOUND", "SCAN_ELIGIBILITY_EXPIRED", "aws_ecr_exporter"} // statuses; the start of names
	var docs strings.Builder
	for name, p := range pages(t) {
		for _, word := range pattern.FindAllString(p.text(), -1) {
			if !names[word] && !slices.Contains(others, word) {
				t.Errorf("%s: %s does not exist", name, word)
			}
		}
		if strings.HasPrefix(name, "docs/") {
			docs.WriteString(p.text())
		}
	}
	for name := range names {
		if !strings.Contains(docs.String(), name) {
			t.Errorf("%s is not in docs", name)
		}
	}
}

var (
	makePattern      = regexp.MustCompile(`(?m)(?:^|` + "`" + `|\()make ([a-z]+(?: [a-z]+)*)((?: [A-Z_]+=\S+)*)`)
	assignPattern    = regexp.MustCompile(` ([A-Z_]+)=`)
	flagPattern      = regexp.MustCompile(`(?m)(?:go run \./lambda|(?:^| |\.build/)ecr-remote-write)((?: +(?:-[a-z-]+|[^\s#>|` + "`" + `]+))+)`)
	parameterPattern = regexp.MustCompile(`\b([A-Z][A-Za-z]+)=`)
	benchPattern     = regexp.MustCompile(`(BENCH=|-bench '?|-run )([A-Z][A-Za-z0-9|\\]*)`)
	pathPattern      = regexp.MustCompile("`((?:lambda|pkg|events|docs)/[A-Za-z0-9_./-]+)`")
	camelPattern     = regexp.MustCompile("`((?:[A-Z][a-z0-9]+){2,}|Settings)`")
)

// What the pages say to type exists: make's targets and variables, flags, the template's
// parameters, benchmarks and files.
func TestMarkdownCommands(t *testing.T) {
	t.Parallel()
	makefile := readFile(t, "../Makefile")
	var help bytes.Buffer
	run([]string{"-help"}, nil, &help, &help)
	parameters := templateNames(t, "Parameters")
	tests := testNames(t)
	count := map[string]int{}
	for name, p := range pages(t) {
		text := p.text()
		for _, match := range makePattern.FindAllStringSubmatch(text, -1) {
			for target := range strings.FieldsSeq(match[1]) {
				count["targets"]++
				if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
					t.Errorf("%s: make has no target %s", name, target)
				}
			}
			for _, variable := range assignPattern.FindAllStringSubmatch(match[2], -1) {
				count["variables"]++
				if !regexp.MustCompile(`(?m)^(?:export )?`+variable[1]+` +\?=`).MatchString(makefile) && !strings.Contains(makefile, "$("+variable[1]+")") && !strings.Contains(makefile, "$(if $("+variable[1]) {
					t.Errorf("%s: the Makefile has no variable %s", name, variable[1])
				}
			}
		}
		for _, b := range p.blocks {
			for _, match := range flagPattern.FindAllStringSubmatch(b.text, -1) {
				for word := range strings.FieldsSeq(match[1]) {
					if !strings.HasPrefix(word, "-") {
						continue
					}
					count["flags"]++
					if !regexp.MustCompile(`(?m)^  ` + word + `\b`).MatchString(help.String()) {
						t.Errorf("%s: there is no flag %s", name, word)
					}
				}
			}
			for line := range strings.Lines(b.text) {
				if !strings.Contains(line, "PARAMETERS=") {
					continue
				}
				for _, match := range parameterPattern.FindAllStringSubmatch(line, -1) {
					if match[1] == strings.ToUpper(match[1]) {
						continue
					}
					count["parameters"]++
					if !parameters[match[1]] {
						t.Errorf("%s: template.yaml has no parameter %s", name, match[1])
					}
				}
			}
		}
		for _, match := range benchPattern.FindAllStringSubmatch(text, -1) {
			prefix := "Benchmark"
			if strings.HasPrefix(match[1], "-run") {
				prefix = "Test"
			}
			for word := range strings.SplitSeq(strings.ReplaceAll(match[2], `\`, ""), "|") {
				count["benchmarks"]++
				if !slices.ContainsFunc(tests, func(test string) bool { return strings.HasPrefix(test, prefix) && strings.Contains(test, word) }) {
					t.Errorf("%s: no %s matches %s", name, prefix, word)
				}
			}
		}
		for _, match := range pathPattern.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat("../" + match[1]); err != nil {
				t.Errorf("%s: there is no file %s", name, match[1])
			}
		}
	}
	for _, kind := range []string{"targets", "variables", "flags", "parameters", "benchmarks"} {
		if count[kind] < 3 {
			t.Errorf("only %d %s found in the pages", count[kind], kind)
		}
	}
}

// templateNames returns the names in a section of the template.
func templateNames(t *testing.T, section string) map[string]bool {
	t.Helper()
	var document map[string]yaml.Node
	if err := yaml.Unmarshal([]byte(readFile(t, "../template.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	found := document[section]
	for i := 0; i < len(found.Content); i += 2 {
		names[found.Content[i].Value] = true
	}
	if len(names) == 0 {
		t.Fatalf("template.yaml has no %s", section)
	}
	return names
}

// testNames returns the names of all tests and benchmarks.
func testNames(t *testing.T) []string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`)
	var names []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, match := range function.FindAllStringSubmatch(readFile(t, path), -1) {
			names = append(names, match[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Names of the template that pages for users mention in passing exist.
func TestMarkdownTemplateNames(t *testing.T) {
	t.Parallel()
	names := templateNames(t, "Parameters")
	for name := range memberRole(t, nil).parameters {
		names[name] = true
	}
	for _, section := range []string{"Outputs", "Resources"} {
		for name := range templateNames(t, section) {
			names[name] = true
		}
	}
	// Names of AWS, of alerts, of Go, and of the template of a release.
	others := regexp.MustCompile(`^(Describe|List|Get|Batch|EcrExporter)[A-Z]|^(AmazonPrometheusQueryAccess|FunctionName|RoundTripper|CodeBucket|CodePrefix)$`)
	checked := 0
	for page, p := range pages(t) {
		if page == "docs/template-parameters.md" || page == "docs/state-format.md" || page == "CHANGELOG.md" {
			continue // with names that are no more, or of Go
		}
		for _, match := range camelPattern.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			if others.MatchString(match[1]) {
				continue
			}
			checked++
			if !names[match[1]] {
				t.Errorf("%s: template.yaml has no %s", page, match[1])
			}
		}
		for _, match := range regexp.MustCompile("`([A-Z][A-Za-z]+)=[A-Za-z0-9]+`").FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			if match[1] == strings.ToUpper(match[1]) {
				continue // a variable of the Makefile, or a placeholder
			}
			if checked++; !names[match[1]] {
				t.Errorf("%s: template.yaml has no parameter %s", page, match[1])
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d names found", checked)
	}
}

// "Where is what" answers each question with files, and every package is in the table of
// packages; that the files exist TestMarkdownLinks checks.
func TestMarkdownArchitecture(t *testing.T) {
	t.Parallel()
	text := strings.Join(pages(t)["docs/architecture.md"].prose, "\n")
	_, where, found := strings.Cut(text, "## Where is what\n")
	if !found {
		t.Fatal("docs/architecture.md has no table of where is what")
	}
	rows := 0
	for line := range strings.Lines(where) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| question") {
			continue
		}
		if rows++; !strings.Contains(line, ".go](../") {
			t.Errorf("no file answers %s", line)
		}
	}
	if rows != 10 {
		t.Errorf("%d questions, want 10", rows)
	}
	for _, p := range packages(t) {
		if name := strings.TrimPrefix(p.ImportPath, module+"/"); !strings.Contains(text, "](../"+name+")") {
			t.Errorf("the table of packages is without %s", name)
		}
	}
}
