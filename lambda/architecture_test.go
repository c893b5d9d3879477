package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

const module = "github.com/aws-exporters/ecr-remote-write"

// arrows are the allowed imports between packages of this module: the package on the left
// may import those on the right.
var arrows = map[string][]string{
	"lambda":              {"pkg/auth", "pkg/awsapi", "pkg/config", "pkg/cost", "pkg/ecr", "pkg/emf", "pkg/exporter", "pkg/fleet", "pkg/inspector", "pkg/inventory", "pkg/metrics", "pkg/quantity", "pkg/refresh", "pkg/remotewrite", "pkg/running", "pkg/secret", "pkg/selection", "pkg/state", "pkg/targets"},
	"lambda/local":        {"pkg/lambdatest", "pkg/localtest", "pkg/quantity"},
	"pkg/auth":            {"pkg/awsapi"},
	"pkg/awsapi":          {},
	"pkg/config":          {"pkg/auth", "pkg/awsapi", "pkg/inventory", "pkg/metrics", "pkg/refresh", "pkg/remotewrite", "pkg/secret", "pkg/targets"}, // the owners of its types
	"pkg/contracttest":    {"pkg/ecrtest"},
	"pkg/cost":            {"pkg/inventory", "pkg/metrics", "pkg/quantity"},
	"pkg/ecr":             {"pkg/awsapi", "pkg/inventory"},
	"pkg/ecrtest":         {},
	"pkg/emf":             {"pkg/metrics"},
	"pkg/exporter":        {"pkg/inventory", "pkg/metrics", "pkg/quantity", "pkg/refresh", "pkg/remotewrite"},
	"pkg/fleet":           {"pkg/awsapi", "pkg/inventory", "pkg/metrics", "pkg/remotewrite", "pkg/secret", "pkg/state", "pkg/targets"},
	"pkg/inspector":       {"pkg/awsapi", "pkg/inventory"},
	"pkg/inventory":       {},
	"pkg/lambdatest":      {},
	"pkg/localtest":       {"pkg/contracttest", "pkg/ecrtest", "pkg/podtest"},
	"pkg/metrics":         {"pkg/inventory"},
	"pkg/podtest":         {},
	"pkg/quantity":        {},
	"pkg/refresh":         {"pkg/awsapi", "pkg/inventory"},
	"pkg/remotewrite":     {"pkg/metrics", "pkg/quantity", "pkg/remotewrite/internal/wire"},
	"pkg/remotewritetest": {},
	"pkg/running":         {"pkg/awsapi"},
	"pkg/secret":          {"pkg/awsapi"},
	"pkg/selection":       {"pkg/inventory"},
	"pkg/state":           {"pkg/awsapi", "pkg/inventory"},
	"pkg/targets":         {"pkg/awsapi", "pkg/metrics"},

	"pkg/remotewrite/internal/wire": {"pkg/metrics"},
}

// only lists the packages that may import a package of another module.
var only = map[string]string{
	"github.com/aws/aws-sdk-go-v2/service/ecr":                       "pkg/ecr",
	"github.com/aws/aws-sdk-go-v2/service/ec2":                       "pkg/fleet",
	"github.com/aws/aws-sdk-go-v2/service/inspector2":                "pkg/inspector",
	"github.com/aws/aws-sdk-go-v2/service/s3":                        "pkg/state",
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager":            "pkg/secret",
	"github.com/aws/aws-sdk-go-v2/service/sqs":                       "pkg/fleet",
	"github.com/aws/aws-sdk-go-v2/service/ssm":                       "pkg/secret",
	"github.com/aws/aws-sdk-go-v2/service/servicequotas":             "pkg/ecr",
	"github.com/aws/aws-sdk-go-v2/service/sts":                       "pkg/auth pkg/ecr",
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4":                     "pkg/auth",
	"github.com/aws/aws-sdk-go-v2/config":                            "lambda",
	"github.com/aws/aws-lambda-go/lambda":                            "lambda",
	"github.com/prometheus/prometheus/prompb/io/prometheus/write/v2": "pkg/remotewrite/internal/wire pkg/remotewritetest",
	"github.com/prometheus/prometheus/prompb":                        "pkg/remotewrite/internal/wire pkg/remotewritetest",
	"github.com/golang/snappy":                                       "pkg/remotewrite pkg/remotewritetest",
	"github.com/caarlos0/env/v11":                                    "pkg/config",
	"github.com/fxamacker/cbor/v2":                                   "pkg/inventory",
	"go.yaml.in/yaml/v3":                                             "pkg/targets",
}

type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "../...")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// Imports between packages follow the table of arrows.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := arrows[name]
		if seen[name] = true; !known {
			t.Errorf("package %s is in no row of arrows", name)
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which no arrow allows", name, ours)
			}
			if users, limited := only[path]; limited && !slices.Contains(strings.Fields(users), name) {
				t.Errorf("%s imports %s, which only %q may", name, path, users)
			}
		}
		if comments := packageComments(t, p); len(comments) != 1 {
			t.Errorf("package %s has package comments in %v, want one", name, comments)
		}
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("package %s is in a row of arrows and does not exist", name)
		}
	}
}

// packageComments returns the files of a package that have a package comment.
func packageComments(t *testing.T, p goPackage) []string {
	t.Helper()
	var files []string
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			files = append(files, name)
		}
	}
	return files
}

// A family is one row: its name is in one place of the program, and so in no second list.
func TestFamilyIsNamedOnce(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, p := range packages(t) {
		if strings.HasSuffix(p.ImportPath, "test") || strings.HasSuffix(p.ImportPath, "/local") {
			continue // doubles, which state the contract on their own
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, family := range slices.Concat(metrics.Families(), metrics.RunFamilies(), metrics.FleetFamilies()) {
		if n := strings.Count(source.String(), `"`+family.Name+`"`); n != 1 {
			t.Errorf("%s is named %d times in the program, want once", family.Name, n)
		}
	}
}

// The shape is all that configures which records have series and how they are labelled:
// else what a changed setting ends could not be derived.
func TestShapeIsAllConfiguration(t *testing.T) {
	t.Parallel()
	shape := reflect.TypeFor[inventory.Shape]()
	for name, constructor := range map[string]any{"metrics.New": metrics.New, "selection.New": selection.New} {
		if f := reflect.TypeOf(constructor); f.NumIn() != 1 || f.In(0) != shape {
			t.Errorf("%s takes %v, want the shape alone", name, f)
		}
	}
	// What a push adds may change values, or leave out whole units, but no labels.
	push := map[string]string{"At": "the moment", "StateAvailable": "a value", "Only": "whole repositories"}
	for i := range reflect.TypeFor[metrics.Options]().NumField() {
		if name := reflect.TypeFor[metrics.Options]().Field(i).Name; push[name] == "" {
			t.Errorf("metrics.Options.%s: if it changes labels, it belongs to the shape", name)
		}
	}
	// Each field of the shape comes from a setting.
	load := func(settings ...string) reflect.Value {
		c, err := config.Load(append(settings, "REMOTE_WRITE_URL=http://127.0.0.1/write"), config.ToSend)
		if err != nil {
			t.Fatal(err)
		}
		return reflect.ValueOf(c.Shape())
	}
	changed := load("EXTERNAL_LABELS=a=b", "FAMILIES_INCLUDE=a", "REPOSITORIES_EXCLUDE=b", "TAGS_INCLUDE=c", "IMAGES_PUSHED_WITHIN=1h",
		"IMAGES_PULLED_WITHIN=2h", "IMAGES_PER_REPOSITORY=3", "UNTAGGED_IMAGES_PER_REPOSITORY=4", "UNTAGGED_IMAGES_WITHIN=5h", "REPOSITORY_TAGS=team",
		"LIFECYCLE_POLICIES=true", "REGISTRY_DETAILS=true", "STATE_URL=file:///state", "IDLE_IMAGES=never", "QUERY_URL=http://127.0.0.1/query")
	for i := range shape.NumField() {
		if shape.Field(i).Name == "Region" {
			continue // from the AWS configuration
		}
		if reflect.DeepEqual(load().Field(i).Interface(), changed.Field(i).Interface()) {
			t.Errorf("Shape.%s: %v without settings, %v with", shape.Field(i).Name, load().Field(i), changed.Field(i))
		}
	}
}
