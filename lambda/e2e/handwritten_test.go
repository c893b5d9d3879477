package e2e

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
)

// handWrittenRegistry returns the series that the exporter sends for a small registry.
func handWrittenRegistry(t *testing.T) []tsdbtest.Series {
	t.Helper()
	text, err := os.ReadFile("testdata/registry.prom")
	if err != nil {
		t.Fatal(err)
	}
	series, err := tsdbtest.ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return series
}

// handWrittenWorkload is a workload of images of testdata/registry.prom.
func handWrittenWorkload(t *testing.T, registry []tsdbtest.Series) workload {
	t.Helper()
	find := func(name, tag string, critical float64) image {
		const uri = "112233445566.dkr.ecr.eu-west-1.amazonaws.com/"
		for _, s := range registry {
			if s.Labels.Get("name") == name && s.Labels.Get("tag") == tag {
				return image{Name: name, URI: uri + name, Tag: tag, Digest: s.Labels.Get("digest"), Critical: critical}
			}
		}
		t.Fatalf("no image %s:%s in testdata/registry.prom", name, tag)
		return image{}
	}
	return workload{
		Running:   find("payments/api", "v2.3.1", 2),
		Finished:  find("payments/migrate", "v2.3.1", 7),
		Waiting:   find("search/indexer", "v0.9.0", 1),
		Sidecar:   find("platform/proxy", "v1.29.2", 3),
		Zero:      find("web/gateway", "v1.1.0", 0),
		Harmless:  find("web/frontend", "v5.0.0", 0),
		Clean:     find("web/assets", "v8", 0),
		Unscanned: find("web/shell", "2024-11", 0),
	}
}

// push sends series in one remote write of version 1.0.
func push(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time, series []tsdbtest.Series) {
	t.Helper()
	status, body, err := tsdbtest.WriteV1(t.Context(), prometheus.URL(), at, series...)
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusNoContent {
		t.Fatalf("remote write of %d series: status %d (%s), want 204", len(series), status, body)
	}
}

// scrape stores the series of another target of the same Prometheus.
func scrape(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time, series []tsdbtest.Series) {
	t.Helper()
	if err := prometheus.Append(t.Context(), at, series...); err != nil {
		t.Fatal(err)
	}
}
