package e2e

import (
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/google/go-cmp/cmp"
)

// wantSeries derives from a simulated registry what must be in Prometheus,
// straight from the metric contract and without any code of the function.
func wantSeries(registry *ecrtest.Registry) tsdbtest.Vector {
	repositories := registry.Repositories()
	want := tsdbtest.Vector{
		"aws_ecr_repository_exporter_up":                                         1,
		tsdbtest.KeyOf("aws_ecr_repository_count", "registry_id", registry.ID()): float64(len(repositories)),
	}
	for _, repository := range repositories {
		// What the API leaves out is a label without a value, and so no label.
		encryption, scanOnPush := "", ""
		if repository.Encryption != nil {
			encryption = repository.Encryption.Type
		}
		if repository.ScanOnPush != nil {
			scanOnPush = map[bool]string{true: "true", false: "false"}[*repository.ScanOnPush]
		}
		want[tsdbtest.KeyOf("aws_ecr_repository_info",
			"encryption_type", encryption,
			"name", repository.Name,
			"registry_id", registry.ID(),
			"repository_uri", registry.URI(repository.Name),
			"scan_on_push", scanOnPush,
			"tag_mutability", repository.TagMutability)] = 1

		for _, image := range registry.Images(repository.Name) {
			if image.Status != "" && image.Status != "ACTIVE" {
				continue
			}
			for _, tag := range image.Tags {
				wantTag(want, registry, repository.Name, image, tag)
			}
		}
	}
	return want
}

// wantTag adds the series of one tag: those whose value the API tells.
func wantTag(want tsdbtest.Vector, registry *ecrtest.Registry, name string, image ecrtest.Image, tag string) {
	add := func(family string, value float64, more ...string) {
		want[tsdbtest.KeyOf(family, append(more,
			"digest", image.Digest,
			"image", registry.URI(name)+":"+tag,
			"name", name,
			"registry_id", registry.ID(),
			"tag", tag)...)] = value
	}
	if image.SizeBytes != nil {
		add("aws_ecr_image_size_in_bytes", float64(*image.SizeBytes))
	}
	if !image.PushedAt.IsZero() {
		add("aws_ecr_image_pushed_at_timestamp_seconds", float64(image.PushedAt.Unix()))
	}
	if image.Scan == nil {
		return
	}
	if !image.Scan.CompletedAt.IsZero() {
		add("aws_ecr_image_scan_completed_at_timestamp_seconds", float64(image.Scan.CompletedAt.Unix()))
	}
	for severity, count := range image.Scan.Counts {
		add("aws_ecr_image_scan_severity_count", float64(count), "severity", severity)
	}
}

// checkPushed checks that the run at a time left exactly the wanted series in
// Prometheus, each with a sample of just that time, and that it sent none twice.
func checkPushed(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	samples, err := prometheus.Samples(t.Context(), `{__name__=~".+"}`, s.Timestamp, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	got := make(tsdbtest.Vector, len(samples))
	for key, points := range samples {
		got[key] = points[0].Value
	}
	checkVector(t, "the run at "+s.Timestamp.Format(time.TimeOnly), want, got)

	live, err := prometheus.Live(t.Context(), s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "what is live then", want, live)

	// Prometheus drops a second sample of the same time without a word.
	if s.Series != len(want) || s.Accepted != len(want) {
		t.Errorf("the summary counts %d series, %d accepted; want %d of each", s.Series, s.Accepted, len(want))
	}
}

// maxDiffs bounds how many series of a difference are shown.
const maxDiffs = 20

// checkVector compares two vectors that may be too large for a readable diff.
func checkVector(t *testing.T, what string, want, got tsdbtest.Vector) {
	t.Helper()
	wantOnly, gotOnly := tsdbtest.Vector{}, tsdbtest.Vector{}
	differ := 0
	note := func(v tsdbtest.Vector, key string, value float64) {
		if len(v) < maxDiffs {
			v[key] = value
		}
		differ++
	}
	for key, value := range want {
		if g, ok := got[key]; !ok || g != value {
			note(wantOnly, key, value)
		}
	}
	for key, value := range got {
		if w, ok := want[key]; !ok || w != value {
			note(gotOnly, key, value)
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d series differ (want %d, got %d); some of them (-want +got):\n%s",
			what, differ, len(want), len(got), cmp.Diff(wantOnly, gotOnly))
	}
}
