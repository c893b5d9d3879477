package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// setDetails gives the registry what REGISTRY_DETAILS exports, and keeps the function's own
// reading of manifests from counting as pulls.
func setDetails(t *testing.T, registry *ecrtest.Registry) {
	t.Helper()
	if err := registry.SetPullTimeExclusions(functionRole); err != nil {
		t.Fatal(err)
	}
	if err := registry.SetCacheRules(ecrtest.CacheRule{Prefix: "docker-hub", Upstream: "docker-hub", URL: "registry-1.example"}); err != nil {
		t.Fatal(err)
	}
	registry.SetReplication(ecrtest.ReplicationRule{
		Prefixes: []string{"shop/"}, Destinations: []ecrtest.ReplicationDestination{{Region: "eu-central-1", RegistryID: account}},
	})
}

// checkOtherSettings scans the registry with Inspector and sets IDLE_IMAGES=never: then those
// queries find something too, and idle images have no series.
func checkOtherSettings(t *testing.T, v *virtualLambda, queries []mixinQuery, running []tsdbtest.Series) {
	t.Helper()
	if err := v.registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}); err != nil {
		t.Fatal(err)
	}
	v.shape.InUseWithin = 90 * 24 * time.Hour
	v.coldStart()
	scrape(t, v.prometheus, time.Now(), running)
	for range 5 {
		time.Sleep(invocationEvery)
		v.invoke(true)
		scrape(t, v.prometheus, time.Now(), running)
	}
	for _, q := range queries {
		if why := rightlyEmpty[q.name]; why != inspectorOnly && why != neverOnly {
			continue
		}
		result, err := v.prometheus.Instant(t.Context(), q.expr, time.Now())
		if err != nil || len(result) == 0 {
			t.Errorf("%s with ENHANCED and IDLE_IMAGES=never: %v, %v", q.name, result, err)
		}
	}
}

// checkQuestions checks what the documented questions answer about shop/app.
func checkQuestions(t *testing.T, prometheus *tsdbtest.Prometheus, queries []mixinQuery, digest string) {
	t.Helper()
	const of = `name="shop/app",registry_id="` + account + `"`
	for question, row := range map[string]string{
		"worst-image-team":    `{digest="` + ecrtest.Digest("image 7 of the cluster") + `",name="docker-hub/library/redis",registry_id="` + account + `",tag_team="platform"}`,
		"last-pull":           `{digest="` + digest + `",` + of + `,tag="v1"}`,
		"what-is-this-digest": `{` + of + `,tag="v1"}`,
		"why-no-findings":     `{digest="` + ecrtest.Digest("image 4 of the cluster") + `",` + of + `,status="SCAN_NOT_FOUND",tag="v4"}`,
		"compare-exporters":   `aws_ecr_repository_info`,
		"may-delete":          "", // not what runs
	} {
		i := slices.IndexFunc(queries, func(q mixinQuery) bool { return q.name == "docs: "+question })
		if i < 0 {
			t.Errorf("no page has the question %s", question)
			continue
		}
		result, err := prometheus.Instant(t.Context(), queries[i].expr, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, found := result[row]; row != "" && !found {
			t.Errorf("%s does not answer %s, but\n%v", question, row, result)
		}
		if question == "may-delete" && strings.Contains(result.String(), digest) {
			t.Errorf("what runs may be deleted:\n%v", result)
		}
	}
}

// checkNeverPulled compares what was never pulled with the registry.
func checkNeverPulled(t *testing.T, v *virtualLambda, queries []mixinQuery) {
	t.Helper()
	want := map[string]bool{}
	for _, repository := range v.registry.Repositories() {
		pulled := func(image ecrtest.Image) bool { return !image.PulledAt.IsZero() }
		if !slices.ContainsFunc(v.registry.Images(repository.Name), pulled) {
			want[`{name="`+repository.Name+`",registry_id="`+account+`"}`] = true
		}
	}
	const question = "never-pulled"
	i := slices.IndexFunc(queries, func(q mixinQuery) bool { return q.name == "docs: "+question })
	result, err := v.prometheus.Instant(t.Context(), queries[i].expr, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for row := range result {
		got[row] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("never pulled (-want +got):\n%s", diff)
	}
}

// rollOut adds images and returns the metrics of the pods that run them, and one of the images.
func rollOut(t *testing.T, registry *ecrtest.Registry, at time.Time) ([]tsdbtest.Series, ecrtest.Image) {
	t.Helper()
	cluster, err := (&localtest.Registry{Registry: registry}).AddCluster(at)
	if err != nil {
		t.Fatal(err)
	}
	running, err := tsdbtest.ParseText([]byte(podtest.Metrics(cluster.Pods)))
	if err != nil {
		t.Fatal(err)
	}
	image, ok := registry.Image("shop/app", "v1")
	if !ok {
		t.Fatal("there is no shop/app:v1")
	}
	// Another image is the worst of all.
	redis, _ := registry.Image("docker-hub/library/redis", "8")
	worst := ecrtest.ScanState{At: at, CompletedAt: at, Counts: map[string]int32{"CRITICAL": 1000, "HIGH": 20}}
	if err := registry.SetScan("docker-hub/library/redis", redis.Digest, ecrtest.Scan{States: []ecrtest.ScanState{worst}}); err != nil {
		t.Fatal(err)
	}
	return running, image
}
