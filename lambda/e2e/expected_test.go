package e2e

import (
	"maps"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/google/go-cmp/cmp"
)

// expectation says what of a simulated registry must be in Prometheus.
type expectation struct {
	registry *ecrtest.Registry
	// scan is what is known of each image's scan; without it, that is what
	// DescribeImages tells.
	scan knownScan
	// durable is set if the function has a state that outlives it.
	durable bool
}

// knownScan returns what is known of an image's scan, nil if nothing, and whether
// that is all there is to know.
type knownScan func(repository string, image ecrtest.Image) (state *ecrtest.ScanState, final bool)

// wantSeries is what a function sends that asks for nothing but lists.
func wantSeries(registry *ecrtest.Registry) tsdbtest.Vector {
	return expectation{registry: registry}.series()
}

// scansAt is the scan of every image as it could be asked for at a time.
func scansAt(registry *ecrtest.Registry, at time.Time) knownScan {
	return func(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
		state, ok := registry.Scan(repository, image.Digest, at)
		if !ok {
			// The API has an error for this, and no status.
			state.Status = "SCAN_NOT_FOUND"
		}
		return &state, true
	}
}

// scanSummary is what DescribeImages tells of an image's scan.
func scanSummary(_ string, image ecrtest.Image) *ecrtest.ScanState {
	state := &ecrtest.ScanState{}
	if image.ScanStatus != nil {
		state.Status = image.ScanStatus.Status
	}
	if image.Scan != nil {
		state.CompletedAt, state.Counts = image.Scan.CompletedAt, image.Scan.Counts
	}
	return state
}

// series derives them straight from the metric contract and without any code of the
// function. The age of the oldest answer, which nobody can tell before, is left out.
func (e expectation) series() tsdbtest.Vector {
	repositories := e.registry.Repositories()
	want := tsdbtest.Vector{
		"aws_ecr_repository_exporter_up":                                           1,
		tsdbtest.KeyOf("aws_ecr_repository_count", "registry_id", e.registry.ID()): float64(len(repositories)),
	}
	if e.durable {
		want["aws_ecr_exporter_state_available"] = 1
	}
	pending := 0
	for _, repository := range repositories {
		e.repository(want, repository)
		for _, image := range e.registry.Images(repository.Name) {
			if image.Status != "" && image.Status != "ACTIVE" || len(image.Tags) == 0 {
				continue
			}
			scan := scanSummary(repository.Name, image)
			if e.scan != nil {
				var final bool
				if scan, final = e.scan(repository.Name, image); !final {
					pending++
				}
			}
			for _, tag := range image.Tags {
				wantTag(want, e.registry, repository.Name, image, scan, tag)
			}
		}
	}
	if e.scan != nil {
		want[tsdbtest.KeyOf("aws_ecr_exporter_images_scan_pending", "registry_id", e.registry.ID())] = float64(pending)
	}
	return want
}

// repository adds the series of a repository itself.
func (e expectation) repository(want tsdbtest.Vector, repository ecrtest.Repository) {
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
		"registry_id", e.registry.ID(),
		"repository_uri", e.registry.URI(repository.Name),
		"scan_on_push", scanOnPush,
		"tag_mutability", repository.TagMutability)] = 1
}

// wantTag adds the series of one tag: those whose value the API tells.
func wantTag(want tsdbtest.Vector, registry *ecrtest.Registry, name string, image ecrtest.Image, scan *ecrtest.ScanState, tag string) {
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
	if scan == nil {
		return
	}
	if scan.Status != "" {
		add("aws_ecr_image_scan_status", 1, "status", scan.Status)
	}
	if !scan.CompletedAt.IsZero() {
		add("aws_ecr_image_scan_completed_at_timestamp_seconds", float64(scan.CompletedAt.Unix()))
	}
	for severity, count := range scan.Counts {
		add("aws_ecr_image_scan_severity_count", float64(count), "severity", severity)
	}
}

// checkPushed checks that the run at a time left exactly the wanted series in
// Prometheus, each with a sample of just that time, and that it sent none twice. What
// ended with the run has a staleness marker of that time.
func checkPushed(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	samples, err := prometheus.Samples(t.Context(), everything, s.Timestamp, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	got := make(tsdbtest.Vector, len(samples))
	ended := 0
	for key, points := range samples {
		if points[0].Stale {
			ended++
		} else {
			got[key] = points[0].Value
		}
	}
	want = withAge(t, want, got, s)
	checkVector(t, "the run at "+s.Timestamp.Format(time.TimeOnly), want, got)
	checkLive(t, prometheus, s, want)

	// Prometheus drops a second sample of the same time without a word.
	if s.Series != len(want)+s.Ended || s.Accepted != s.Series || s.Ended != ended {
		t.Errorf("the summary counts %d series, %d accepted, %d of them ended; want %d, as many, and %d",
			s.Series, s.Accepted, s.Ended, len(want)+ended, ended)
	}
}

// runFamilies are the names of the families in which a run tells of itself, as a
// regular expression: see TestRunMetrics.
const runFamilies = `aws_ecr_exporter_(last_success_timestamp_seconds|(refresh|push)_duration_seconds|oldest_record_age_seconds|` +
	`api_(requests|throttles)|series_(sent|refused|unconfirmed|not_sent|dropped)|sent_bytes|send_retries|errors|build_info)`

// everything selects all series but those.
const everything = `{__name__=~".+",__name__!~"` + runFamilies + `"}`

// checkLive checks that queries see exactly the wanted series at the time of a run.
func checkLive(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	live, err := prometheus.Instant(t.Context(), everything, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "what is live then", withAge(t, want, live, s), live)
}

// withAge adds the age of the oldest answer about a scan, if scans are asked for, as
// it was pushed: it depends on how long a call took.
func withAge(t *testing.T, want, got tsdbtest.Vector, s summary) tsdbtest.Vector {
	t.Helper()
	if s.Scans.Source != "findings" && s.Scans.Source != "inspector" {
		return want
	}
	key := tsdbtest.KeyOf("aws_ecr_exporter_scan_oldest_answer_age_seconds", "registry_id", s.Registry)
	age, ok := got[key]
	// An answer of the run itself is later than the run's timestamp.
	if lifetime := (25 * time.Hour).Seconds(); ok && (age < -lifetime || age > lifetime) {
		t.Errorf("the oldest answer about a scan is %v seconds old", age)
	}
	want = maps.Clone(want)
	want[key] = age
	return want
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
