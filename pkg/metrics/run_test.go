package metrics_test

import (
	"flag"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

var update = flag.Bool("update", false, "write the golden files anew")

// exampleRun has something of everything.
func exampleRun() metrics.Run {
	at := time.Date(2026, 11, 1, 12, 0, 0, 5e8, time.UTC)
	return metrics.Run{
		At: at, SucceededAt: at.Add(-2 * time.Minute),
		RefreshDuration: 9100 * time.Millisecond, PushDuration: 250 * time.Millisecond,
		OldestRecord: at.Add(-25 * time.Minute), RegistryID: "123456789012",
		Requests:  map[string]int{"ListCoverage": 3, "DescribeImages": 200, "DescribeRepositories": 2},
		Throttles: map[string]int{"ListCoverage": 0, "DescribeImages": 7, "DescribeRepositories": 0},
		Push: metrics.Push{
			Accepted: 19_990, Refused: 1, Unconfirmed: 2, NotSent: 3,
			Dropped:         map[string]int{"label_value_too_long": 4, "series_too_large": 0},
			BytesCompressed: 1_234_567, Retries: 5,
		},
		Errors:  map[string]int{"save": 0, "load": 0, "refresh": 1, "push": 1},
		Version: "v1.2.3", GoVersion: "go1.26.1",
	}
}

func ofRun(run metrics.Run) iter.Seq[metrics.Series] {
	return table(inventory.Shape{Region: "eu-west-1"}).OfRun(run)
}

func TestRunGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/run.txt"
	got := text(t, ofRun(exampleRun()))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("exposition (-want +got); -update writes it anew:\n%s", diff)
	}
}

// Before the first listing nothing is known of the registry, and a run that failed
// at once has only zeroes to tell of.
func TestRunNothingKnown(t *testing.T) {
	t.Parallel()
	want := []string{
		"aws_ecr_exporter_refresh_duration_seconds 0",
		"aws_ecr_exporter_push_duration_seconds 0",
		"aws_ecr_exporter_series_sent 0",
		"aws_ecr_exporter_series_refused 0",
		"aws_ecr_exporter_series_unconfirmed 0",
		"aws_ecr_exporter_series_not_sent 0",
		"aws_ecr_exporter_sent_bytes 0",
		"aws_ecr_exporter_send_retries 0",
		"aws_ecr_exporter_build_info 1",
	}
	if diff := cmp.Diff(want, samples(text(t, table(inventory.Shape{}).OfRun(metrics.Run{})))); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// A record that was read in the run itself is younger than the run's samples.
func TestRunRecordOfThisRun(t *testing.T) {
	t.Parallel()
	run := exampleRun()
	run.OldestRecord = run.At.Add(time.Second)
	if got := text(t, ofRun(run)); !strings.Contains(got, "\n"+`aws_ecr_exporter_oldest_record_age_seconds{region="eu-west-1",registry_id="123456789012"} 0`+"\n") {
		t.Errorf("the oldest record has no age of 0:\n%s", got)
	}
}

func TestRunFamilyTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range metrics.Families() {
		seen[f.Name] = true
	}
	for _, f := range metrics.RunFamilies() {
		if seen[f.Name] || f.Help == "" || f.Type != "gauge" || f.Unit == "" || len(f.Help) > 1024 {
			t.Errorf("row %s: a name twice, no gauge, or a help or unit missing or too long", f.Name)
		}
		seen[f.Name] = true
		if !slices.Contains(f.Labels, "registry_id") {
			t.Errorf("row %s: labels %v, want registry_id among them", f.Name, f.Labels)
		}
		if !strings.HasPrefix(f.Name, "aws_ecr_exporter_") || !strings.Contains(f.Help, "last run") {
			t.Errorf("row %s: not the exporter's name, or its help does not mention the last run: %s", f.Name, f.Help)
		}
	}
}

// Every series has its family's labels, and none twice.
func TestRunLabels(t *testing.T) {
	t.Parallel()
	external := map[string]string{"zone": "b", "Account": "prod", "operation": "a family's own label wins"}
	series := map[string]bool{}
	for s := range table(inventory.Shape{External: external, Region: "eu-west-1"}).OfRun(exampleRun()) {
		want := map[string]bool{"__name__": true, "zone": true, "Account": true, "operation": true}
		for _, name := range s.Family.Labels {
			want[name] = true
		}
		var names []string
		values := map[string]string{}
		for _, label := range s.Labels {
			names = append(names, label.Name)
			values[label.Name] = label.Value
		}
		if !slices.IsSorted(names) || !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: labels %v, want %v", s.Family.Name, names, slices.Sorted(maps.Keys(want)))
		}
		ours := slices.Contains(s.Family.Labels, "operation")
		if values["__name__"] != s.Family.Name || values["registry_id"] != "123456789012" || values["zone"] != "b" || ours == (values["operation"] == external["operation"]) {
			t.Errorf("%s: labels %v", s.Family.Name, values)
		}
		key := strings.Join(slices.Sorted(maps.Values(values)), "\xff")
		if series[key] {
			t.Errorf("%v twice", s.Labels)
		}
		series[key] = true
	}
}

func TestRunStops(t *testing.T) {
	t.Parallel()
	all := slices.Collect(ofRun(exampleRun()))
	for stop := range all {
		n := 0
		for s := range ofRun(exampleRun()) {
			if diff := cmp.Diff(all[n].Labels, s.Labels); diff != "" {
				t.Errorf("series %d differs from one time to the next:\n%s", n, diff)
			}
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopped after %d series, want %d", n, stop+1)
		}
	}
}
