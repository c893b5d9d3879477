package e2e

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// everyFamily are settings with which all families are sent.
var everyFamily = []string{"FAMILIES_INCLUDE=.*", "REPOSITORY_TAGS=team,cost-center", "LIFECYCLE_POLICIES=true", "REGISTRY_DETAILS=true"}

// furtherSeries are the series of the families about repositories and the registry, and of the
// opt-in ones about images, stated from the simulated registry alone.
func furtherSeries(registry *ecrtest.Registry, at time.Time, refreshed float64) tsdbtest.Vector {
	want := tsdbtest.Vector{}
	mostImages, mostTags := 0, 0
	for _, repository := range registry.Repositories() {
		images := registry.Images(repository.Name)
		mostImages = max(mostImages, len(images))
		put := func(family string, value float64, labels ...string) {
			labels = append([]string{"name", repository.Name, "registry_id", account}, labels...)
			want[tsdbtest.KeyOf("aws_ecr_"+family, labels...)] = value
		}
		count, bytes := map[string]float64{}, map[string]float64{}
		var pushed, pulled time.Time
		var newest *ecrtest.Image
		for i := range images {
			image := &images[i]
			mostTags = max(mostTags, len(image.Tags))
			state := "untagged"
			switch {
			case image.Status != "ACTIVE":
				state = "archived"
			case isIndex(*image):
				state = "index"
			case len(image.Tags) > 0:
				state = "tagged"
			}
			count[state]++
			if image.SizeBytes != nil && !isIndex(*image) {
				bytes[state] += float64(*image.SizeBytes)
			}
			if image.PushedAt.After(pushed) {
				pushed = image.PushedAt
			}
			if image.PulledAt.After(pulled) {
				pulled = image.PulledAt
			}
			attached := !slices.ContainsFunc(image.Tags, func(tag string) bool { return !strings.HasPrefix(tag, "sha256-") })
			if image.Status != "ACTIVE" || len(image.Tags) == 0 {
				continue
			}
			if !attached && image.SubjectDigest == "" && !strings.Contains(image.ArtifactMediaType, "helm") && (newest == nil || image.PushedAt.After(newest.PushedAt)) {
				newest = image
			}
			for _, tag := range image.Tags {
				ofTag := []string{"digest", image.Digest, "tag", tag, "image", registry.URI(repository.Name) + ":" + tag}
				put("image_info", 1, append(ofTag, "artifact_media_type", image.ArtifactMediaType, "manifest_media_type", image.ManifestMediaType, "status", image.Status)...)
				if !image.PulledAt.IsZero() {
					put("image_last_pulled_timestamp_seconds", float64(image.PulledAt.Unix()), ofTag...)
				}
			}
		}
		put("repository_created_timestamp_seconds", float64(repository.CreatedAt.Unix()))
		put("repository_refreshed_timestamp_seconds", refreshed)
		put("repository_lifecycle_policy", map[bool]float64{true: 1}[repository.LifecyclePolicy != ""])
		put("repository_tags_info", 1, "tag_team", repository.Tags["team"], "tag_cost_center", repository.Tags["cost-center"])
		for _, state := range []string{"archived", "index", "tagged", "untagged"} {
			put("repository_images", count[state], "state", state)
			if state != "index" {
				put("repository_size_bytes", bytes[state], "state", state)
			}
		}
		if !pushed.IsZero() {
			put("repository_newest_push_timestamp_seconds", float64(pushed.Unix()))
		}
		if !pulled.IsZero() {
			put("repository_newest_pull_timestamp_seconds", float64(pulled.Unix()))
		}
		if newest != nil {
			scan, _ := contracttest.IndexScansAt(registry, at)(repository.Name, *newest)
			for severity, n := range scan.Counts {
				put("repository_findings", float64(n), "severity", severity)
			}
		}
	}
	put := func(family string, value float64, labels ...string) {
		want[tsdbtest.KeyOf("aws_ecr_"+family, append([]string{"registry_id", account, "region", region}, labels...)...)] = value
	}
	put("registry_scan_type_info", 1, "scan_type", registry.Scanning().Type)
	for quota, limit := range map[string]float64{"repositories": 123_456, "images_per_repository": 100_000, "tags_per_image": 1000} {
		put("registry_quota_limit", limit, "quota", quota)
	}
	put("registry_quota_used", float64(len(registry.Repositories())), "quota", "repositories")
	put("registry_quota_used", float64(mostImages), "quota", "images_per_repository")
	put("registry_quota_used", float64(mostTags), "quota", "tags_per_image")
	put("pull_through_cache_rule_info", 1, "repository_prefix", "hub", "upstream_registry", "docker-hub", "upstream_url", "registry-1.docker.io")
	return want
}

const furtherFamilies = `{__name__=~"aws_ecr_(repository_(created|images|size|newest|refreshed|findings|lifecycle|tags).*|image_(info|last_pulled).*|registry_.*|pull_through.*|replication.*)"}`

// TestFamilies: what the families beyond the contract say, and that it ends, also across a cold
// start.
func TestFamilies(t *testing.T) {
	t.Parallel()
	registry := indexRegistry(t, "BASIC")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(registry.SetPullTimeExclusions(functionRole))
	check(registry.SetCacheRules(ecrtest.CacheRule{Prefix: "hub", Upstream: "docker-hub", URL: "registry-1.docker.io"}))
	registry.SetReplication(ecrtest.ReplicationRule{Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-3", RegistryID: account}}})
	registry.SetQuota("L-CFEB8E8D", 123_456)
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	settings := append([]string{fastScans, "CACHE_REFRESH_INTERVAL=1s", "STATE_URL=file://" + filepath.Join(t.TempDir(), "state")}, everyFamily...)
	f := startFunction(t, server, prometheus.URL(), settings...)
	run := func(replicates bool) {
		t.Helper()
		s := f.invoke(t, "schedule-rule.json", invocationTimeout)
		live, err := prometheus.Instant(t.Context(), furtherFamilies, s.Timestamp)
		check(err)
		want := furtherSeries(registry, time.Now(), float64(s.Timestamp.Unix()))
		if replicates {
			want[tsdbtest.KeyOf("aws_ecr_replication_destination_info", "registry_id", account, "region", region, "destination_region", "eu-west-3", "destination_registry_id", account)] = 1
		}
		checkVector(t, "further families", want, live)
		if len(want) < 1000 || len(s.Errors) > 0 {
			t.Errorf("%d series, errors %v", len(want), s.Errors)
		}
	}
	run(true)
	registry.SetReplication()
	names := registry.Repositories()
	check(registry.PutRepository(ecrtest.Repository{Name: "empty", CreatedAt: time.Now(), Tags: map[string]string{"team": "x"}}))
	registry.DeleteRepository(names[0].Name)
	changed := names[1]
	changed.LifecyclePolicy, changed.Tags = "", map[string]string{"cost-center": "new"}
	check(registry.PutRepository(changed))
	for i, image := range registry.Images(names[2].Name) {
		if i%2 == 0 {
			check(registry.DeleteImage(names[2].Name, image.Digest))
		}
	}
	f.stop(t)
	time.Sleep(time.Second)
	f = startFunction(t, server, prometheus.URL(), settings...)
	run(false)
	f.stop(t)

	// Without the settings, their families end.
	f = startFunction(t, server, prometheus.URL(), settings[:3]...)
	s := f.invoke(t, "schedule-rule.json", invocationTimeout)
	live, err := prometheus.Instant(t.Context(), `count by (__name__) ({__name__=~"aws_ecr_(repository_(lifecycle_policy|tags_info)|image_(info|last_pulled.*)|pull_through.*|replication.*)"})`, s.Timestamp)
	check(err)
	if len(live) > 0 {
		t.Errorf("left without the settings: %v", live)
	}
	f.stop(t)
}

// TestPromlint: names, units and help texts are as Prometheus's own linter wants them, but for
// those that the contract, or the issue that asked for a family, fixes.
func TestPromlint(t *testing.T) {
	t.Parallel()
	registry := indexRegistry(t, "ENHANCED")
	if err := registry.SetPullTimeExclusions(functionRole); err != nil {
		t.Fatal(err)
	}
	text := dryRun(t, ecrtest.Start(t, registry).URL(), append([]string{"SCAN_SOURCE=auto", "ECR_REQUESTS_PER_SECOND=10000", fastScans}, everyFamily...)...)
	var few bytes.Buffer // one series a family: the linter takes minutes for all
	comments := 0
	for line := range bytes.Lines(text) {
		if comments++; line[0] == '#' {
			comments = 0
		}
		if comments < 2 {
			few.Write(line)
		}
	}
	problems, err := promlint.New(&few).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		count := strings.HasSuffix(p.Metric, "_count") && strings.Contains(p.Text, `should not have "_count" suffix`)
		if !count {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if families := bytes.Count(text, []byte("# TYPE ")); families < 25 {
		t.Errorf("%d families", families)
	}
}
