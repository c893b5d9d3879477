package metrics_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// The contract, as users query it. A change here breaks dashboards.
func TestContract(t *testing.T) {
	t.Parallel()
	type row struct {
		Name, Help, Type string
		Labels           []string
	}
	perImage := []string{"digest", "image", "name", "registry_id", "tag"}
	want := []row{
		{"aws_ecr_repository_count", "Total count of all ECR repositories", "gauge", []string{"registry_id"}},
		{"aws_ecr_repository_info", "ECR repository information", "gauge", []string{"encryption_type", "name", "registry_id", "repository_uri", "scan_on_push", "tag_mutability"}},
		{"aws_ecr_image_size_in_bytes", "The size of an image in bytes", "gauge", perImage},
		{"aws_ecr_image_pushed_at_timestamp_seconds", "The unix timestamp that this image was pushed at", "gauge", perImage},
		{"aws_ecr_image_scan_severity_count", "ECR image scan summary results", "gauge", []string{"digest", "image", "name", "registry_id", "severity", "tag"}},
		{"aws_ecr_image_scan_completed_at_timestamp_seconds", "The unix timestamp when the scan was completed", "gauge", perImage},
		{"aws_ecr_repository_exporter_up", "Always 1, to check that the exporter is running", "gauge", nil},
	}
	var got []row
	for _, f := range metrics.Families()[:len(want)] {
		got = append(got, row{f.Name, f.Help, f.Type, f.Labels})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
}

func TestFamilyTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range metrics.Families() {
		if seen[f.Name] || f.Help == "" || f.Type == "" || f.Unit == "" || len(f.Help) > 1024 {
			t.Errorf("row %s: a name twice, or a help, type or unit missing or too long", f.Name)
		}
		seen[f.Name] = true
		if labels := f.Labels; len(slices.Compact(labels)) != len(labels) {
			t.Errorf("row %s: labels %v are not distinct", f.Name, labels)
		}
	}
}

func registry() *inventory.Registry {
	on := true
	repo := &inventory.Repository{
		Name: "app", URI: "1.dkr.ecr.eu-west-1.amazonaws.com/app", RegistryID: "111111111111", TagMutability: "MUTABLE", ScanOnPush: &on,
		Images: []inventory.Image{
			{
				Digest: inventory.Digest{1}, Tags: []string{"latest", "v1"}, SizeBytes: 5, PushedAt: 1_500,
				Scan: &inventory.Scan{CompletedAt: 2_999, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("LOW"), Count: 0}})},
			},
			{Digest: inventory.Digest{2}, Tags: []string{"v2"}, SizeBytes: -1},
			{Digest: inventory.Digest{3}, SizeBytes: 7, PushedAt: 1_000},
			{Digest: inventory.Digest{4}, Tags: []string{"old"}, SizeBytes: 7, PushedAt: 1_000, Status: inventory.ImageArchived},
		},
	}
	return &inventory.Registry{ID: "999999999999", ListedAt: 1, Repositories: []*inventory.Repository{repo}}
}

func text(t *testing.T, series iter.Seq[metrics.Series]) string {
	t.Helper()
	var out strings.Builder
	if err := metrics.WriteText(&out, series); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// table is the family table under a shape whose expressions are valid.
func table(shape inventory.Shape) *metrics.Table {
	table, err := metrics.New(shape)
	if err != nil {
		panic(err)
	}
	return table
}

// samples returns the lines of a text that are no comments.
func samples(text string) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool { return line == "" || line[0] == '#' })
}

func TestAll(t *testing.T) {
	t.Parallel()
	const (
		one = `digest="sha256:0100000000000000000000000000000000000000000000000000000000000000",image="1.dkr.ecr.eu-west-1.amazonaws.com/app:`
		by  = `,name="app",registry_id="111111111111",`
	)
	want := []string{
		`aws_ecr_repository_count{registry_id="999999999999"} 1`,
		`aws_ecr_repository_info{encryption_type="",name="app",registry_id="111111111111",repository_uri="1.dkr.ecr.eu-west-1.amazonaws.com/app",scan_on_push="true",tag_mutability="MUTABLE"} 1`,
		`aws_ecr_image_size_in_bytes{` + one + `latest"` + by + `tag="latest"} 5`,
		`aws_ecr_image_size_in_bytes{` + one + `v1"` + by + `tag="v1"} 5`,
		`aws_ecr_image_pushed_at_timestamp_seconds{` + one + `latest"` + by + `tag="latest"} 1`,
		`aws_ecr_image_pushed_at_timestamp_seconds{` + one + `v1"` + by + `tag="v1"} 1`,
		`aws_ecr_image_scan_severity_count{` + one + `latest"` + by + `severity="CRITICAL",tag="latest"} 1`,
		`aws_ecr_image_scan_severity_count{` + one + `latest"` + by + `severity="LOW",tag="latest"} 0`,
		`aws_ecr_image_scan_severity_count{` + one + `v1"` + by + `severity="CRITICAL",tag="v1"} 1`,
		`aws_ecr_image_scan_severity_count{` + one + `v1"` + by + `severity="LOW",tag="v1"} 0`,
		`aws_ecr_image_scan_completed_at_timestamp_seconds{` + one + `latest"` + by + `tag="latest"} 2`,
		`aws_ecr_image_scan_completed_at_timestamp_seconds{` + one + `v1"` + by + `tag="v1"} 2`,
		`aws_ecr_repository_exporter_up 1`,
	}
	contract := inventory.Filter{Include: "aws_ecr_repository_(count|info|exporter_up)|aws_ecr_image_(size|pushed_at|scan_severity|scan_completed)_.*"}
	got := samples(text(t, table(inventory.Shape{Families: contract}).All(registry(), metrics.Options{})))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// A registry that was never listed is unknown, not empty.
func TestAllNothingKnown(t *testing.T) {
	t.Parallel()
	got := samples(text(t, table(inventory.Shape{}).All(&inventory.Registry{}, metrics.Options{})))
	if diff := cmp.Diff([]string{"aws_ecr_repository_exporter_up 1"}, got); diff != "" {
		t.Errorf("never listed (-want +got):\n%s", diff)
	}
	notQuotas := inventory.Shape{Families: inventory.Filter{Exclude: ".*_quota_.*"}}
	got = samples(text(t, table(notQuotas).All(&inventory.Registry{ID: "1", ListedAt: 1}, metrics.Options{})))
	if diff := cmp.Diff([]string{`aws_ecr_repository_count{registry_id="1"} 0`, "aws_ecr_repository_exporter_up 1"}, got); diff != "" {
		t.Errorf("empty (-want +got):\n%s", diff)
	}
}

func TestExternalLabels(t *testing.T) {
	t.Parallel()
	external := map[string]string{"zone": "b", "Account": "prod", "name": "a family's own label wins"}
	for s := range table(inventory.Shape{External: external}).All(registry(), metrics.Options{}) {
		var names []string
		values := map[string]string{}
		for _, label := range s.Labels {
			names = append(names, label.Name)
			values[label.Name] = label.Value
		}
		if !slices.IsSorted(names) || len(values) != len(names) {
			t.Errorf("%s: labels %v are not sorted or not distinct", s.Family.Name, names)
		}
		wantName := external["name"]
		if slices.Contains(s.Family.Labels, "name") {
			wantName = "app"
		}
		if values["__name__"] != s.Family.Name || values["zone"] != "b" || values["Account"] != "prod" || values["name"] != wantName {
			t.Errorf("%s: labels %v", s.Family.Name, values)
		}
	}
}

func TestAllStops(t *testing.T) {
	t.Parallel()
	var all int
	for range table(inventory.Shape{}).All(registry(), metrics.Options{}) {
		all++
	}
	for stop := range all {
		n := 0
		for range table(inventory.Shape{}).All(registry(), metrics.Options{}) {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopped after %d series, want %d", n, stop+1)
		}
	}
}

// Labels are built in place: a clone is what stays.
func TestClone(t *testing.T) {
	t.Parallel()
	var clones []metrics.Series
	for s := range table(inventory.Shape{}).All(registry(), metrics.Options{}) {
		clones = append(clones, s.Clone())
	}
	want := text(t, table(inventory.Shape{}).All(registry(), metrics.Options{}))
	if diff := cmp.Diff(want, text(t, slices.Values(clones))); diff != "" {
		t.Errorf("clones (-want +got):\n%s", diff)
	}
}

// What All allocates does not grow with the number of series.
func TestAllAllocations(t *testing.T) {
	small, large := registry(), registry()
	for range 500 {
		large.Repositories = append(large.Repositories, large.Repositories[0])
	}
	allocations := func(r *inventory.Registry) float64 {
		return testing.AllocsPerRun(10, func() {
			for range table(inventory.Shape{}).All(r, metrics.Options{}) {
			}
		})
	}
	if few, many := allocations(small), allocations(large); many > few {
		t.Errorf("%v allocations for 1 repository, %v for 501", few, many)
	}
}

func TestWriteTextEscapes(t *testing.T) {
	t.Parallel()
	family := &metrics.Family{Name: "f", Help: "a\\b\nc\"d", Type: "gauge"}
	series := []metrics.Series{
		{Family: family, Labels: []metrics.Label{{Name: "A", Value: "x\\y\nz\"é"}, {Name: "__name__", Value: "f"}, {Name: "b"}}, Value: 1e21},
		{Family: family, Labels: []metrics.Label{{Name: "__name__", Value: "f"}}, Value: 0.5},
	}
	const want = `# HELP f a\\b\nc"d
# TYPE f gauge
f{A="x\\y\nz\"é",b=""} 1e+21
f 0.5
`
	if diff := cmp.Diff(want, text(t, slices.Values(series))); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestWriteTextFault(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	fault := errors.New("disk full")
	reader.CloseWithError(fault)
	if err := metrics.WriteText(writer, table(inventory.Shape{}).All(registry(), metrics.Options{})); !errors.Is(err, fault) {
		t.Errorf("error %v, want %v", err, fault)
	}
}

func BenchmarkAll(b *testing.B) {
	r := registry()
	for range 999 {
		r.Repositories = append(r.Repositories, r.Repositories[0])
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		for range table(inventory.Shape{}).All(r, metrics.Options{}) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/series")
}

func BenchmarkWriteText(b *testing.B) {
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := metrics.WriteText(&out, table(inventory.Shape{}).All(registry(), metrics.Options{})); err != nil {
			b.Fatal(err)
		}
	}
}
