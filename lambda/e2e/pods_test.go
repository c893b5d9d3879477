package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// host and otherHost are registries that are read.
const (
	host      = "112233445566.dkr.ecr.eu-west-1.amazonaws.com/"
	otherHost = "665544332211.dkr.ecr.eu-west-1.amazonaws.com/"
)

// podImages are the images that the pods of every kind run.
func podImages() podtest.Images {
	image := func(name, tag string) podtest.Image {
		return podtest.Image{Name: name, URI: host + name, Tag: tag, Digest: ecrtest.Digest(name + ":" + tag)}
	}
	previous := image("shop/app", "v1")
	previous.Digest = ecrtest.Digest("what had the tag v1 before")
	images := podtest.Images{
		Plain: image("shop/app", "v1"), OtherTag: "latest",
		Index: image("shop/web", "v2"),
		Child: image("shop/web", "amd64"), HiddenChild: image("shop/web", "arm64"),
		Previous: previous,
		Cached:   image("docker-hub/library/redis", "8"),
		Copied:   image("copies/nginx", "1.29"),
		Clean:    image("shop/app", "v3"), Unscanned: image("shop/app", "v4"),
		Deleted: image("shop/app", "v0"),
		Config:  ecrtest.Digest("a configuration"),
	}
	images.Replica = images.Copied
	images.Replica.URI = otherHost + images.Replica.Name
	return images
}

// podFindings are the CRITICAL findings of each digest; a tagged image without findings has
// a clean scan.
func podFindings(i *podtest.Images) map[string]float64 {
	return map[string]float64{
		i.Plain.Digest: 2, i.Index.Digest: 3, i.Child.Digest: 5, i.Previous.Digest: 7, i.Cached.Digest: 11, i.Copied.Digest: 13,
	}
}

// podRegistry are the series of the registries with these images.
func podRegistry(t *testing.T, i *podtest.Images) []tsdbtest.Series {
	t.Helper()
	findings := podFindings(i)
	other := i.Plain
	other.Tag = i.OtherTag
	promoted := i.Copied // into another repository of the registry
	promoted.Name, promoted.URI = "promoted/nginx", host+"promoted/nginx"
	var text strings.Builder
	for _, image := range []podtest.Image{i.Plain, other, i.Index, i.Cached, i.Copied, i.Replica, promoted, i.Clean, i.Unscanned} {
		labels := fmt.Sprintf("digest=%q,image=%q,name=%q,registry_id=%q,tag=%q", image.Digest, image.Ref(), image.Name, image.URI[:12], image.Tag)
		fmt.Fprintf(&text, "aws_ecr_image_pushed_at_timestamp_seconds{%s} 1790000000\n", labels)
		if image == i.Unscanned {
			continue
		}
		fmt.Fprintf(&text, "aws_ecr_image_scan_completed_at_timestamp_seconds{%s} 1790000000\n", labels)
		if critical := findings[image.Digest]; critical > 0 {
			fmt.Fprintf(&text, "aws_ecr_image_scan_severity_count{%s,severity=\"CRITICAL\"} %v\n", labels, critical)
			fmt.Fprintf(&text, "aws_ecr_image_scan_severity_count{%s,severity=\"HIGH\"} 100\n", labels)
		}
	}
	for _, image := range []podtest.Image{i.Previous, i.Child} {
		fmt.Fprintf(&text, "aws_ecr_untagged_image_scan_severity_count{digest=%q,name=%q,registry_id=%q,severity=\"CRITICAL\"} %v\n",
			image.Digest, image.Name, image.URI[:12], findings[image.Digest])
	}
	series, err := tsdbtest.ParseText([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return series
}

// podResults are the correct results of the documented queries about pods.
func podResults(pods []podtest.Pod, findings map[string]float64) map[string]tsdbtest.Vector {
	results := map[string]tsdbtest.Vector{}
	add := func(query string, value float64, pairs ...string) {
		if results[query] == nil {
			results[query] = tsdbtest.Vector{}
		}
		results[query][tsdbtest.KeyOf("", pairs...)] = value
	}
	for _, p := range pods {
		of := []string{"namespace", podtest.Namespace, "container", podtest.Container}
		pod := []string{"pod", p.Pod}
		if found := p.ByDigest; found != nil {
			row := append(slices.Clone(of), "cluster", p.ClusterName(), "name", p.Name, "digest", found.Digest)
			add("images-critical", findings[found.Digest], row...)
			add("pods-critical", findings[found.Digest], append(row, pod...)...)
			if p.State == podtest.Running {
				add("running-pods-critical", findings[found.Digest], append(row, pod...)...)
			}
		}
		if found := p.ByImage; found != nil {
			row := append(slices.Clone(of), "image", found.Ref(), "name", found.Name, "tag", found.Tag)
			add("images-critical-by-image", findings[found.Digest], row...)
			add("pods-critical-by-image", findings[found.Digest], append(row, pod...)...)
			if p.State == podtest.Running {
				add("running-images-critical-by-image", findings[found.Digest], row...)
				add("running-pods-critical-by-image", findings[found.Digest], append(row, pod...)...)
			}
		}
		// Their digests are known from the pod alone.
		uri, digest, _ := strings.Cut(p.ID, "@")
		name, ofOurs := strings.CutPrefix(uri, host)
		if ofOurs && p.ByDigest == nil && !strings.Contains(p.Kind, "clean") {
			add("pods-unknown", 1, append(append(of, "cluster", p.ClusterName(), "name", name, "digest", digest), pod...)...)
		}
	}
	return results
}

// TestPods evaluates the documented queries on pods of every kind: each finds what the
// table in docs/queries.md says, and nothing else.
func TestPods(t *testing.T) {
	t.Parallel()
	images := podImages()
	pods := podtest.Pods(&images)
	if len(pods) < 12 {
		t.Fatalf("%d kinds of pods", len(pods))
	}
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	scraped, err := tsdbtest.ParseText([]byte(podtest.Metrics(pods)))
	if err != nil {
		t.Fatal(err)
	}
	push(t, prometheus, start, podRegistry(t, &images))
	scrape(t, prometheus, start, tsdbtest.WithTarget(scraped, "job", "kube-state-metrics", "instance", "10.0.12.7:8080"))
	checkQueries(t, prometheus, start.Add(time.Minute), podResults(pods, podFindings(&images)))
}

// TestPodsOfOneRegistry evaluates the queries where only another registry than that of the
// pod's image is read: the digest is the same.
func TestPodsOfOneRegistry(t *testing.T) {
	t.Parallel()
	images := podImages()
	pods := podtest.Pods(&images)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := slices.DeleteFunc(podRegistry(t, &images), func(s tsdbtest.Series) bool { return s.Labels.Get("registry_id") == otherHost[:12] })
	scraped, err := tsdbtest.ParseText([]byte(podtest.Metrics(pods)))
	if err != nil {
		t.Fatal(err)
	}
	push(t, prometheus, start, registry)
	scrape(t, prometheus, start, scraped)
	for i, p := range pods {
		if p.ByImage == &images.Replica {
			pods[i].ByImage = nil
		}
	}
	checkQueries(t, prometheus, start, podResults(pods, podFindings(&images)))
}

// TestManyToOne shows why the right side of a join on the digest has to be aggregated:
// digests have two tags, and are in two repositories.
func TestManyToOne(t *testing.T) {
	t.Parallel()
	images := podImages()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	scraped, err := tsdbtest.ParseText([]byte(podtest.Metrics(podtest.Pods(&images))))
	if err != nil {
		t.Fatal(err)
	}
	push(t, prometheus, start, podRegistry(t, &images))
	scrape(t, prometheus, start, scraped)
	const aggregated = "max by (digest) ("
	query := documented(t).queries["pods-critical"]
	if strings.Count(query, aggregated) != 1 {
		t.Fatalf("the right side is not one series for each digest:\n%s", query)
	}
	result, err := prometheus.Instant(t.Context(), strings.Replace(query, aggregated, "(", 1), start)
	if err == nil || !strings.Contains(err.Error(), "found duplicate series for the match group") {
		t.Errorf("without %s…): %v, %v", aggregated, result, err)
	}
}

// TestRegistryQueries evaluates the queries about the registry alone.
func TestRegistryQueries(t *testing.T) {
	t.Parallel()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := handWrittenRegistry(t)
	push(t, prometheus, start, slices.Concat(registry,
		runMetrics{"oldest_record_age_seconds": 900, "images_scan_pending": 4}.series(t)))
	sizes, noScans := map[string]float64{}, tsdbtest.Vector{}
	counted := map[string]bool{}
	for _, s := range registry {
		name, digest := s.Labels.Get("name"), s.Labels.Get("digest")
		switch s.Labels.Get("__name__") {
		case "aws_ecr_image_size_in_bytes":
			if !counted[name+digest] {
				sizes[name] += s.Value
			}
			counted[name+digest] = true
		case "aws_ecr_repository_info":
			if s.Labels.Get("scan_on_push") == "false" {
				noScans[tsdbtest.Key(s.Labels)] = 1
			}
		}
	}
	largest := tsdbtest.Vector{}
	for name := range maps.Keys(sizes) {
		largest[tsdbtest.KeyOf("", "name", name)] = sizes[name]
	}
	checkQueries(t, prometheus, start, map[string]tsdbtest.Vector{
		"largest-repositories": largest, "no-scan-on-push": noScans,
		"data-age": {tsdbtest.KeyOf("", "registry_id", account): 900}, "scans-pending": {tsdbtest.KeyOf("", "registry_id", account): 4},
	})
}
