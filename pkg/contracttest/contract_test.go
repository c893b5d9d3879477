package contracttest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

var pushed = time.Unix(1_700_000_000, 0)

// example is a registry with what the contract has rules about.
func example(t *testing.T) *ecrtest.Registry {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	registry := ecrtest.NewRegistry("123456789012", "eu-west-1")
	must(registry.PutRepository(ecrtest.Repository{
		Name: "team/app", TagMutability: "IMMUTABLE", ScanOnPush: new(false), Encryption: &ecrtest.Encryption{Type: "KMS"},
	}))
	must(registry.PutRepository(ecrtest.Repository{Name: "bare"})) // nothing but its name
	for name, image := range map[string]ecrtest.Image{
		"two tags":    {Tags: []string{"1", "latest"}, SizeBytes: new(int64(100)), PushedAt: pushed.Add(900 * time.Millisecond)},
		"no size":     {Tags: []string{"2"}, PushedAt: pushed},
		"no time":     {Tags: []string{"3"}, SizeBytes: new(int64(7)), Status: "ACTIVE"},
		"unsupported": {Tags: []string{"4"}},
		"untagged":    {SizeBytes: new(int64(1000)), PushedAt: pushed},
		"archived":    {Tags: []string{"0"}, SizeBytes: new(int64(1000)), PushedAt: pushed, Status: "ARCHIVED"},
		"summary": {
			Tags: []string{"5"}, ScanStatus: &ecrtest.ScanStatus{Status: "COMPLETE"},
			Scan: &ecrtest.ScanSummary{CompletedAt: pushed, Counts: map[string]int32{"UNTRIAGED": 0}},
		},
	} {
		image.Digest = ecrtest.Digest(name)
		must(registry.PutImage("team/app", image))
	}
	for name, state := range map[string]ecrtest.ScanState{
		"two tags":    {CompletedAt: pushed.Add(5 * time.Second), Counts: map[string]int32{"CRITICAL": 3, "LOW": 4}},
		"no size":     {CompletedAt: pushed, Counts: map[string]int32{}}, // clean
		"unsupported": {Status: "UNSUPPORTED_IMAGE"},
		"untagged":    {CompletedAt: pushed, Counts: map[string]int32{"HIGH": 9}},
		"archived":    {CompletedAt: pushed, Counts: map[string]int32{"HIGH": 9}},
	} {
		state.At = pushed.Add(time.Minute)
		must(registry.SetScan("team/app", ecrtest.Digest(name), ecrtest.Scan{States: []ecrtest.ScanState{state}}))
	}
	return registry
}

// wholeExample is what example must yield, with D for a digest and U for the URI of
// the registry.
const wholeExample = `
aws_ecr_image_pushed_at_timestamp_seconds{digest="D(no size)",image="U/team/app:2",name="team/app",registry_id="123456789012",tag="2"} 1700000000
aws_ecr_image_pushed_at_timestamp_seconds{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",tag="1"} 1700000000
aws_ecr_image_pushed_at_timestamp_seconds{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",tag="latest"} 1700000000
aws_ecr_image_size_in_bytes{digest="D(no time)",image="U/team/app:3",name="team/app",registry_id="123456789012",tag="3"} 7
aws_ecr_image_size_in_bytes{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",tag="1"} 100
aws_ecr_image_size_in_bytes{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",tag="latest"} 100
aws_ecr_repository_count{registry_id="123456789012"} 2
aws_ecr_repository_exporter_up 1
aws_ecr_repository_info{encryption_type="KMS",name="team/app",registry_id="123456789012",repository_uri="U/team/app",scan_on_push="false",tag_mutability="IMMUTABLE"} 1
aws_ecr_repository_info{name="bare",registry_id="123456789012",repository_uri="U/bare"} 1
`

// The scans of example, as the API reports them one by one and as DescribeImages does.
const (
	scansOfExample = `
aws_ecr_image_scan_completed_at_timestamp_seconds{digest="D(no size)",image="U/team/app:2",name="team/app",registry_id="123456789012",tag="2"} 1700000000
aws_ecr_image_scan_completed_at_timestamp_seconds{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",tag="1"} 1700000005
aws_ecr_image_scan_completed_at_timestamp_seconds{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",tag="latest"} 1700000005
aws_ecr_image_scan_severity_count{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",severity="CRITICAL",tag="1"} 3
aws_ecr_image_scan_severity_count{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",severity="LOW",tag="1"} 4
aws_ecr_image_scan_severity_count{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",severity="CRITICAL",tag="latest"} 3
aws_ecr_image_scan_severity_count{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",severity="LOW",tag="latest"} 4
aws_ecr_image_scan_status{digest="D(no size)",image="U/team/app:2",name="team/app",registry_id="123456789012",status="COMPLETE",tag="2"} 1
aws_ecr_image_scan_status{digest="D(no time)",image="U/team/app:3",name="team/app",registry_id="123456789012",status="SCAN_NOT_FOUND",tag="3"} 1
aws_ecr_image_scan_status{digest="D(summary)",image="U/team/app:5",name="team/app",registry_id="123456789012",status="SCAN_NOT_FOUND",tag="5"} 1
aws_ecr_image_scan_status{digest="D(two tags)",image="U/team/app:1",name="team/app",registry_id="123456789012",status="COMPLETE",tag="1"} 1
aws_ecr_image_scan_status{digest="D(two tags)",image="U/team/app:latest",name="team/app",registry_id="123456789012",status="COMPLETE",tag="latest"} 1
aws_ecr_image_scan_status{digest="D(unsupported)",image="U/team/app:4",name="team/app",registry_id="123456789012",status="UNSUPPORTED_IMAGE",tag="4"} 1
`
	summariesOfExample = `
aws_ecr_image_scan_completed_at_timestamp_seconds{digest="D(summary)",image="U/team/app:5",name="team/app",registry_id="123456789012",tag="5"} 1700000000
aws_ecr_image_scan_severity_count{digest="D(summary)",image="U/team/app:5",name="team/app",registry_id="123456789012",severity="UNTRIAGED",tag="5"} 0
aws_ecr_image_scan_status{digest="D(summary)",image="U/team/app:5",name="team/app",registry_id="123456789012",status="COMPLETE",tag="5"} 1
`
)

func TestOf(t *testing.T) {
	t.Parallel()
	registry := example(t)
	nothing := func(string, ecrtest.Image) (ecrtest.ScanState, bool) { return ecrtest.ScanState{}, false }
	short := []string{"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "U"}
	for _, image := range []string{"two tags", "no size", "no time", "unsupported", "untagged", "archived", "summary"} {
		short = append(short, ecrtest.Digest(image), "D("+image+")")
	}
	for name, c := range map[string]struct {
		scans contracttest.Scans
		want  string
	}{
		"no scans":     {nothing, wholeExample},
		"summaries":    {contracttest.ScanSummary, wholeExample + summariesOfExample},
		"scans":        {contracttest.ScansAt(registry, pushed.Add(time.Hour)), wholeExample + scansOfExample},
		"no scans yet": {contracttest.ScansAt(registry, pushed), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string]bool{}
			for s := range contracttest.Of(registry, c.scans) {
				line := strings.NewReplacer(short...).Replace(fmt.Sprintf("%s %.0f", s.Key(), s.Value))
				if got[line] || !slices.Contains(contracttest.Families, s.Family) {
					t.Errorf("%s is there twice, or of no known family", line)
				}
				got[line] = true
			}
			if c.want == "" {
				maps.DeleteFunc(got, func(line string, _ bool) bool {
					return !strings.Contains(line, "scan_completed") && !strings.Contains(line, "scan_severity")
				})
			}
			if diff := cmp.Diff(sorted(strings.Split(c.want, "\n")), sorted(slices.Collect(maps.Keys(got)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	// Whoever reads on demand may stop at any series.
	n := 0
	for range contracttest.Of(registry, contracttest.ScansAt(registry, pushed.Add(time.Hour))) {
		n++
	}
	for stop := 1; stop < n; stop++ {
		left := stop
		for range contracttest.Of(registry, contracttest.ScansAt(registry, pushed.Add(time.Hour))) {
			if left--; left == 0 {
				break
			}
		}
	}
}

// sorted joins the lines that have a text.
func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.TrimLeft(strings.Join(lines, "\n"), "\n")
}
