package e2e

import (
	"bytes"
	"maps"
	"testing"
	"text/template"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/prometheus/common/model"
)

// image is one tag of an image, in our terms and in those of kube-state-metrics.
type image struct {
	// Name and URI are those of the repository.
	Name, URI   string
	Tag, Digest string
	// Critical is how many CRITICAL findings the last scan had.
	Critical float64
}

// Ref is how a pod usually names the image, and our label `image`.
func (i image) Ref() string { return i.URI + ":" + i.Tag }

// ID is what the container runtime reports as pulled.
func (i image) ID() string { return i.URI + "@" + i.Digest }

// workload is the images that the pods of testdata/kube-state-metrics run. Each is a case
// of the example queries.
type workload struct {
	Running  image // CRITICAL findings; two pods run it by tag and one by digest
	Finished image // CRITICAL findings; the only pod has completed
	Waiting  image // CRITICAL findings; the only pod has not pulled it yet
	Sidecar  image // CRITICAL findings; not running itself, in a pod that is

	Zero      image // the scan reported CRITICAL as 0
	Harmless  image // findings, none of them CRITICAL
	Clean     image // a scan without findings
	Unscanned image // no scan at all
}

// scrapeKubeStateMetrics returns the series of a kube-state-metrics in a cluster with
// this workload, as Prometheus stores them.
func scrapeKubeStateMetrics(t *testing.T, w workload) []tsdbtest.Series {
	t.Helper()
	tmpl, err := template.ParseFiles("testdata/kube-state-metrics/pods.prom.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, w); err != nil {
		t.Fatal(err)
	}
	series, err := tsdbtest.ParseText(text.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return tsdbtest.WithTarget(series, "job", "kube-state-metrics", "instance", "10.0.12.7:8080")
}

// stopContainers returns the same series after all containers have stopped.
func stopContainers(scraped []tsdbtest.Series) []tsdbtest.Series {
	var stopped []tsdbtest.Series
	for _, s := range scraped {
		if s.Labels.Get(model.MetricNameLabel) == "kube_pod_container_status_running" {
			s.Value = 0
		}
		stopped = append(stopped, s)
	}
	return stopped
}

// queryResults are the correct results of the documented queries, by name, while this
// workload runs. They have no metric name, because a product has none.
func (w workload) queryResults() map[string]tsdbtest.Vector {
	results := w.resultsByImage()
	maps.Copy(results, w.resultsByDigest())
	return results
}

// resultsByImage are those of the queries that join on the label image.
func (w workload) resultsByImage() map[string]tsdbtest.Vector {
	row := func(i image, namespace, container string, pod ...string) string {
		pairs := []string{"namespace", namespace, "container", container, "image", i.Ref(), "name", i.Name, "tag", i.Tag}
		if len(pod) > 0 {
			pairs = append(pairs, "pod", pod[0])
		}
		return tsdbtest.KeyOf("", pairs...)
	}
	return map[string]tsdbtest.Vector{
		"pods-critical-by-image": {
			row(w.Running, "payments", "api", "api-7d4b9c6f5d-2xk8q"):        w.Running.Critical,
			row(w.Running, "payments", "api", "api-7d4b9c6f5d-9hvzt"):        w.Running.Critical,
			row(w.Finished, "payments", "migrate", "migrate-28934220-tq5wn"): w.Finished.Critical,
			row(w.Waiting, "search", "indexer", "indexer-0"):                 w.Waiting.Critical,
			row(w.Sidecar, "web", "proxy", "frontend-5f6b7c8d9-k4z7m"):       w.Sidecar.Critical,
			row(w.Zero, "web", "gateway", "gateway-84c6d5b7f9-x8n5p"):        0,
		},
		"images-critical-by-image": {
			row(w.Running, "payments", "api"):      w.Running.Critical,
			row(w.Finished, "payments", "migrate"): w.Finished.Critical,
			row(w.Waiting, "search", "indexer"):    w.Waiting.Critical,
			row(w.Sidecar, "web", "proxy"):         w.Sidecar.Critical,
			row(w.Zero, "web", "gateway"):          0,
		},
		// The last two join on the pod, so a container counts as running if any
		// container of its pod is: the waiting sidecar is included.
		"running-pods-critical-by-image": {
			row(w.Running, "payments", "api", "api-7d4b9c6f5d-2xk8q"):  w.Running.Critical,
			row(w.Running, "payments", "api", "api-7d4b9c6f5d-9hvzt"):  w.Running.Critical,
			row(w.Sidecar, "web", "proxy", "frontend-5f6b7c8d9-k4z7m"): w.Sidecar.Critical,
			row(w.Zero, "web", "gateway", "gateway-84c6d5b7f9-x8n5p"):  0,
		},
		"running-images-critical-by-image": {
			row(w.Running, "payments", "api"): w.Running.Critical,
			row(w.Sidecar, "web", "proxy"):    w.Sidecar.Critical,
			row(w.Zero, "web", "gateway"):     0,
		},
	}
}

// resultsByDigest are those of the queries that join on the digest. They find the pod that
// is pinned by digest, and not the one that has not pulled its image.
func (w workload) resultsByDigest() map[string]tsdbtest.Vector {
	row := func(i image, namespace, container string, pod ...string) string {
		pairs := []string{"namespace", namespace, "container", container, "name", i.Name, "digest", i.Digest}
		if len(pod) > 0 {
			pairs = append(pairs, "pod", pod[0])
		}
		return tsdbtest.KeyOf("", pairs...)
	}
	running := tsdbtest.Vector{
		row(w.Running, "payments", "api", "api-7d4b9c6f5d-2xk8q"):    w.Running.Critical,
		row(w.Running, "payments", "api", "api-7d4b9c6f5d-9hvzt"):    w.Running.Critical,
		row(w.Running, "payments", "api", "pinned-6c5f8d7b94-lm2rj"): w.Running.Critical,
		row(w.Zero, "web", "gateway", "gateway-84c6d5b7f9-x8n5p"):    0,
	}
	pods := maps.Clone(running)
	pods[row(w.Finished, "payments", "migrate", "migrate-28934220-tq5wn")] = w.Finished.Critical
	pods[row(w.Sidecar, "web", "proxy", "frontend-5f6b7c8d9-k4z7m")] = w.Sidecar.Critical
	return map[string]tsdbtest.Vector{
		"pods-critical":         pods,
		"running-pods-critical": running,
		"images-critical": {
			row(w.Running, "payments", "api"):      w.Running.Critical,
			row(w.Finished, "payments", "migrate"): w.Finished.Critical,
			row(w.Sidecar, "web", "proxy"):         w.Sidecar.Critical,
			row(w.Zero, "web", "gateway"):          0,
		},
		"pods-unknown": {row(w.Unscanned, "web", "unscanned", "tools"): 1},
	}
}

// alertsByImage and alertsByDigest are the labels of the alerts that the documented rules
// raise for this workload; everything else about an alert follows from them.
func (w workload) alertsByImage() []map[string]string {
	raised := func(i image, namespace, container string) map[string]string {
		return map[string]string{
			"alertname": "CriticalImageVulnerability", "severity": "warning", "type": "security-alert",
			"namespace": namespace, "container": container, "image": i.Ref(), "name": i.Name, "tag": i.Tag,
		}
	}
	return []map[string]string{
		raised(w.Running, "payments", "api"),
		raised(w.Sidecar, "web", "proxy"),
	}
}

func (w workload) alertsByDigest() []map[string]string {
	return []map[string]string{{
		"alertname": "CriticalImageVulnerability", "severity": "warning", "type": "security-alert",
		"namespace": "payments", "container": "api", "name": w.Running.Name, "digest": w.Running.Digest,
	}}
}
