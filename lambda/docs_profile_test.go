package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// profile are the counts of a generated registry, and what reading and pushing it takes.
type profile struct {
	images, tagged, tags, indexes, platformImages, attestations, referrers, lost, archived int

	withoutScans, withScans, withIndexes, untagged int // series
	pages, manifestCalls, findings, inspectorPages int // calls
}

// recently and mostUntagged are the defaults by which untagged images have series.
const (
	recently     = 30 * 24 * time.Hour
	mostUntagged = 20
)

// profileTable compares the shapes of simulated registries.
func profileTable(t *testing.T) string {
	t.Helper()
	now := time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)
	const repositories, tagged = 200, 10_000
	p := profileOf(t, ecrtest.RealisticShape(repositories, tagged, now))
	plain := profileOf(t, ecrtest.PlainShape(repositories, tagged, now))
	var text strings.Builder
	text.WriteString("| 200 repositories, 10,000 tagged images | 2026 | plain |\n|---|---|---|\n")
	for _, row := range []struct {
		what string
		of   func(profile) int
	}{
		{"images in all", func(p profile) int { return p.images }},
		{"tags", func(p profile) int { return p.tags }},
		{"tagged indexes", func(p profile) int { return p.indexes }},
		{"images of a platform of an index", func(p profile) int { return p.platformImages }},
		{"attestations", func(p profile) int { return p.attestations }},
		{"signatures and SBOMs", func(p profile) int { return p.referrers }},
		{"images that lost their tag", func(p profile) int { return p.lost }},
		{"archived images", func(p profile) int { return p.archived }},
		{"series without scan results", func(p profile) int { return p.withoutScans }},
		{"series with scan results, without those of indexes", func(p profile) int { return p.withScans }},
		{"series with scan results, also of indexes", func(p profile) int { return p.withIndexes }},
		{"series of untagged images that a pod may run", func(p profile) int { return p.untagged }},
		{"`DescribeImages`, each refresh", func(p profile) int { return p.pages }},
		{"`BatchGetImage`, once for each index", func(p profile) int { return p.manifestCalls }},
		{"`DescribeImageScanFindings`, once a day with basic scanning", func(p profile) int { return p.findings }},
		{"pages of Inspector's lists, each time with enhanced scanning", func(p profile) int { return p.inspectorPages }},
	} {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", row.what, quantity.Grouped(row.of(p)), quantity.Grouped(row.of(plain)))
	}
	return text.String()
}

func profileOf(t *testing.T, shape ecrtest.Shape) profile {
	t.Helper()
	registry := ecrtest.NewRegistry("123456789012", "eu-west-1")
	if err := registry.Generate(1, shape); err != nil {
		t.Fatal(err)
	}
	totals := registry.Totals()
	p := profile{images: totals.Images, tagged: totals.TaggedImages, tags: totals.Tags, archived: totals.Archived}
	at := shape.Now.Add(time.Hour) // all scans are complete
	none := func(string, ecrtest.Image) (ecrtest.ScanState, bool) { return ecrtest.ScanState{}, false }
	for scans, series := range map[*int]contracttest.Scans{
		&p.withoutScans: none, &p.withScans: contracttest.ScansAt(registry, at), &p.withIndexes: contracttest.IndexScansAt(registry, at),
	} {
		for range contracttest.Of(registry, series) {
			*scans++
		}
	}
	scans := contracttest.IndexScansAt(registry, at)
	withFindings, covered := 0, 0
	for _, repository := range registry.Repositories() {
		images := registry.Images(repository.Name)
		isChild := map[string]bool{}
		for _, image := range images {
			for _, child := range image.Children {
				isChild[child.Digest] = true
			}
		}
		p.pages += max(1, divide(len(images), 1000))
		read := 0
		scanned := map[string]bool{}
		shown := func(image ecrtest.Image) {
			if len(image.Children) == 0 {
				scanned[image.Digest] = true
				return
			}
			for _, child := range image.Children {
				if !child.Attests() {
					scanned[child.Digest] = true
				}
			}
		}
		var untagged []ecrtest.Image
		for _, image := range images {
			if state, ok := registry.Scan(repository.Name, image.Digest, at); ok {
				covered++
				if len(state.Counts) > 0 {
					withFindings++
				}
			}
			if image.Status == "ACTIVE" && len(image.Children) > 0 {
				read++ // also of those that lost their tag: their children are no images of their own
			}
			switch {
			case image.Status != "ACTIVE":
			case len(image.Tags) > 0:
				if len(image.Children) > 0 {
					p.indexes++
				}
				shown(image)
			case image.SubjectDigest != "":
				p.referrers++
			case image.Attestation:
				p.attestations++
			case isChild[image.Digest]:
				p.platformImages++
			default:
				p.lost++
				if strings.Contains(image.ArtifactMediaType, "helm") {
					continue // no pod runs a chart
				}
				if image.PushedAt.After(at.Add(-recently)) || image.PulledAt.After(at.Add(-recently)) {
					untagged = append(untagged, image)
				}
			}
		}
		slices.SortFunc(untagged, func(a, b ecrtest.Image) int { return b.PushedAt.Compare(a.PushedAt) })
		for _, image := range untagged[:min(mostUntagged, len(untagged))] {
			state, _ := scans(repository.Name, image)
			p.untagged += 1 + len(state.Counts)
			shown(image)
		}
		p.manifestCalls += divide(read, 100)
		p.findings += len(scanned)
	}
	p.inspectorPages = divide(withFindings, 100) + divide(covered, 200)
	return p
}

// divide rounds up.
func divide(n, by int) int { return (n + by - 1) / by }
