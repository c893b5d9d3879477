package ecrtest_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// taggedImages calls yield with every image that is active and has a tag.
func taggedImages(reg *ecrtest.Registry, yield func(repository string, img ecrtest.Image)) {
	for _, repo := range reg.Repositories() {
		for _, img := range reg.Images(repo.Name) {
			if len(img.Tags) > 0 && img.Status == "ACTIVE" {
				yield(repo.Name, img)
			}
		}
	}
}

// Generated scans come out in about the shares that they are meant to, and each kind of
// scanning uses its own words only.
func TestGenerateScans(t *testing.T) {
	t.Parallel()
	shape := ecrtest.RealisticShape(30, 3_000, now)
	reg := generate(t, 2, shape)
	for scanType, words := range map[string]string{
		"BASIC":    "COMPLETE FAILED UNSUPPORTED_IMAGE",
		"ENHANCED": "ACTIVE FAILED UNSUPPORTED_IMAGE SCAN_ELIGIBILITY_EXPIRED",
	} {
		setScanning(t, reg, ecrtest.Scanning{Type: scanType})
		seen, clean, untriaged, undefined := map[string]float64{}, 0.0, 0.0, 0.0
		taggedImages(reg, func(repository string, img ecrtest.Image) {
			// Some were pushed so late that their scans are not done by now.
			state, ok := reg.Scan(repository, img.Digest, now.Add(time.Hour))
			again, okAgain := reg.Scan(repository, img.Tags[0], now.Add(time.Hour))
			if again.Status != state.Status || !again.At.Equal(state.At) || !maps.Equal(again.Counts, state.Counts) || ok != okAgain {
				t.Errorf("%s@%s: asked twice: %+v, %+v", repository, img.Digest, state, again)
			}
			if !ok {
				seen["never"]++
				return
			}
			seen[state.Status]++
			if isIndex(img) && state.Status != "UNSUPPORTED_IMAGE" {
				t.Errorf("%s@%s: index is %s", repository, img.Digest, state.Status)
			}
			if hasResult := state.Counts != nil; hasResult != (state.Status == "ACTIVE" || state.Status == "COMPLETE") || hasResult == state.CompletedAt.IsZero() {
				t.Errorf("%s@%s: %+v", repository, img.Digest, state)
			}
			if state.Counts != nil && len(state.Counts) == 0 {
				clean++
			}
			untriaged += min(1, float64(state.Counts["UNTRIAGED"]))
			undefined += min(1, float64(state.Counts["UNDEFINED"]))
		})
		done := seen[strings.Fields(words)[0]]
		for _, word := range append(strings.Fields(words), "never") {
			if seen[word] == 0 {
				t.Errorf("%s: no image is %s: %v", scanType, word, seen)
			}
			if word == "never" {
				if got := seen[word] / float64(shape.TaggedImages); math.Abs(got-(1-shape.Scanned)) > 0.02 {
					t.Errorf("%s: share never scanned is %.3f", scanType, got)
				}
			}
			delete(seen, word)
		}
		if len(seen) > 0 {
			t.Errorf("%s: has words of another: %v", scanType, seen)
		}
		if share := clean / done; math.Abs(share-0.2) > 0.04 {
			t.Errorf("%s: share clean is %.3f", scanType, share)
		}
		if (untriaged > 0) != (scanType == "ENHANCED") || (undefined > 0) != (scanType == "BASIC") {
			t.Errorf("%s: %v images with UNTRIAGED, %v with UNDEFINED", scanType, untriaged, undefined)
		}
	}
}

// The scan of an image that is pushed to a generated registry goes through its states,
// and only an image that is rescanned has another result on another day.
func TestGeneratedScanStates(t *testing.T) {
	t.Parallel()
	for _, rescanned := range []float64{0, 1} {
		shape := ecrtest.Shape{Repositories: 1, Now: now, Scanned: 1, Rescanned: rescanned}
		reg := generate(t, 1, shape)
		repository := reg.Repositories()[0].Name
		stories, changed := map[string]int{}, 0
		for _, digest := range putPushed(t, reg, repository, 120) {
			var story []string
			tell := func(at time.Time) ecrtest.ScanState {
				state, ok := reg.Scan(repository, digest, at)
				word := state.Status
				switch {
				case !ok:
					word = "nothing"
				case state.At.After(at) || state.CompletedAt.After(at):
					t.Errorf("at %v: %+v", at, state)
				case word == "COMPLETE" && state.Counts == nil:
					word = "uncounted"
				}
				if len(story) == 0 || story[len(story)-1] != word {
					story = append(story, word)
				}
				return state
			}
			var first ecrtest.ScanState
			for second := -1; second < 120; second++ {
				first = tell(now.Add(time.Duration(second) * time.Second))
			}
			stories[strings.Join(story, " ")]++
			if first.Counts == nil {
				continue
			}
			days := map[int64]bool{first.CompletedAt.UnixMilli(): true}
			for half := range 8 {
				state, ok := reg.Scan(repository, digest, now.Add(time.Duration(half)*12*time.Hour+2*time.Minute))
				if !ok || state.Status != "COMPLETE" {
					t.Errorf("%s: %+v after %d half days", digest, state, half)
				}
				days[state.CompletedAt.UnixMilli()] = true
				if !maps.Equal(first.Counts, state.Counts) {
					changed++
				}
			}
			if want := 1 + 3*int(rescanned); len(days) != want {
				t.Errorf("%s: completed %d times, want %d", digest, len(days), want)
			}
		}
		const full = "nothing PENDING IN_PROGRESS "
		for story, few := range map[string]bool{full + "uncounted COMPLETE": false, full + "UNSUPPORTED_IMAGE": true, full + "FAILED": true} {
			if n := stories[story]; n == 0 || few == (n > 60) {
				t.Errorf("%d images went through %q: %v", n, story, stories)
			}
			delete(stories, story)
		}
		if len(stories) > 0 {
			t.Errorf("other lives: %v", stories)
		}
		if (changed > 0) != (rescanned > 0) {
			t.Errorf("rescanned %v: %d other results", rescanned, changed)
		}
	}
}

// putPushed pushes n images now.
func putPushed(t *testing.T, reg *ecrtest.Registry, repository string, n int) []string {
	t.Helper()
	digests := make([]string, n)
	for i := range digests {
		digests[i] = putImage(t, reg, repository, ecrtest.Image{Digest: ecrtest.Digest(strings.Repeat("x", i)), PushedAt: now, Status: "ACTIVE"})
	}
	return digests
}

// States that are set replace generated ones from their time on.
func TestSetScanReplacesGenerated(t *testing.T) {
	t.Parallel()
	reg := generate(t, 1, ecrtest.Shape{Repositories: 1, Now: now, Scanned: 1})
	repository := reg.Repositories()[0].Name
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	for _, digest := range putPushed(t, reg, repository, 20) {
		before, _ := reg.Scan(repository, digest, day(1))
		told := ecrtest.ScanState{At: day(2), CompletedAt: day(2), Counts: map[string]int32{"CRITICAL": 77}}
		if err := reg.Rescan(repository, digest, told); err != nil {
			t.Fatal(err)
		}
		after, _ := reg.Scan(repository, digest, day(1))
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the past changed:\n%s", diff)
		}
		told.Counts["CRITICAL"] = 1 // the state was copied
		if got, _ := reg.Scan(repository, digest, day(3)); got.Counts["CRITICAL"] != 77 || got.Status != "COMPLETE" {
			t.Errorf("told, got %+v", got)
		}
		if err := reg.Rescan(repository, digest, ecrtest.ScanState{At: day(2)}); err == nil {
			t.Error("a state at the time of the one before: no error")
		}
		setScan(t, reg, repository, digest)
		if got, ok := reg.Scan(repository, digest, day(3)); ok {
			t.Errorf("told that it was never scanned, got %+v", got)
		}
		if err := reg.DeleteImage(repository, digest); err != nil {
			t.Fatal(err)
		}
		putImage(t, reg, repository, ecrtest.Image{Digest: digest, PushedAt: now, Status: "ACTIVE"})
		if got, _ := reg.Scan(repository, digest, day(1)); !cmp.Equal(got, before) {
			t.Errorf("deleted and pushed again: %+v, want %+v", got, before)
		}
	}
	digest := putPushed(t, reg, repository, 1)[0]
	for name, err := range map[string]error{
		"no repository": reg.SetScan("nothing", digest, ecrtest.Scan{}),
		"no image":      reg.SetScan(repository, ecrtest.Digest("nothing"), ecrtest.Scan{}),
		"no digest":     reg.SetScan(repository, "v1", ecrtest.Scan{}),
		"status":        reg.Rescan(repository, digest, ecrtest.ScanState{Status: "DONE"}),
		"count":         reg.Rescan(repository, digest, ecrtest.ScanState{Counts: map[string]int32{"LOW": -1}}),
		"severity":      reg.Rescan(repository, digest, ecrtest.ScanState{Counts: map[string]int32{"": 1}}),
		"order":         reg.Rescan(repository, digest, ecrtest.ScanState{At: day(2)}, ecrtest.ScanState{At: day(1)}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, ref := range [][2]string{{"nothing", digest}, {repository, "nothing"}, {repository, ecrtest.Digest("nothing")}} {
		if got, ok := reg.Scan(ref[0], ref[1], now); ok {
			t.Errorf("%s: %+v", ref, got)
		}
	}
}

// Both APIs return the same scans of a generated registry, also while it ages.
func TestGeneratedScansAreServed(t *testing.T) {
	t.Parallel()
	reg := generate(t, 4, ecrtest.RealisticShape(8, 80, now))
	srv := ecrtest.Start(t, reg)
	client, inspector := newClient(srv), newInspector(srv)
	setScanning(t, reg, ecrtest.Scanning{Type: "ENHANCED"})
	at := now
	srv.SetClock(func() time.Time { return at })
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2 {
		for range 60 {
			at = at.Add(time.Minute)
			reg.Mutate(rng, at)
		}
		covered, _ := coverAll(t, inspector, &inspector2.ListCoverageInput{FilterCriteria: &types.CoverageFilterCriteria{
			ResourceType: coverage("EQUALS", "AWS_ECR_CONTAINER_IMAGE"),
		}})
		status := make(map[string]types.CoveredResource)
		for _, row := range covered {
			status[*row.ResourceId] = row
		}
		aggregated, _ := aggregateAll(t, inspector, aggregations(types.AwsEcrContainerAggregation{}, 100))
		counts := make(map[string]*types.SeverityCounts)
		for _, row := range aggregated {
			counts[*row.ResourceId] = row.SeverityCounts
		}
		taggedImages(reg, func(repository string, img ecrtest.Image) {
			want, ok := reg.Scan(repository, img.Digest, at)
			arn := imageARN(repository, img.Digest)
			row, covered := status[arn]
			if covered != ok {
				t.Errorf("%s: Inspector knows it: %v", arn, covered)
			}
			out, err := describeFindings(t, client, repository, img.Digest)
			if !ok {
				checkCode(t, arn, err, "ScanNotFoundException", img.Digest)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(out.ImageScanStatus.Status) != want.Status {
				t.Errorf("%s: %s, want %s", arn, out.ImageScanStatus.Status, want.Status)
			}
			if !want.CompletedAt.IsZero() && !want.CompletedAt.Equal(aws.ToTime(row.LastScannedAt)) {
				t.Errorf("%s: scanned %v, want %v", arn, row.LastScannedAt, want.CompletedAt)
			}
			total := int64(0)
			for _, n := range want.Counts {
				total += int64(n)
			}
			if got := counts[arn]; (got == nil) != (total == 0) ||
				got != nil && (*got.All != total || *got.Critical != int64(want.Counts["CRITICAL"]) || *got.Medium != int64(want.Counts["MEDIUM"])) {
				t.Errorf("%s: aggregated %+v, want %v", arn, got, want.Counts)
			}
			if want.Counts != nil {
				if diff := cmp.Diff(want.Counts, out.ImageScanFindings.FindingSeverityCounts); diff != "" {
					t.Errorf("%s:\n%s", arn, diff)
				}
			}
		})
	}
}

// Under basic scanning an index and the attestations are unsupported, and the findings are
// with the children.
func TestGeneratedIndexScans(t *testing.T) {
	t.Parallel()
	reg := generate(t, 6, ecrtest.RealisticShape(20, 400, now.Add(-time.Hour)))
	indexes, findings := 0, 0
	taggedImages(reg, func(repository string, img ecrtest.Image) {
		if !isIndex(img) {
			return
		}
		indexes++
		for _, child := range img.Children {
			state, ok := reg.Scan(repository, child.Digest, now)
			switch {
			case child.Attests() && ok && state.Status != "UNSUPPORTED_IMAGE":
				t.Errorf("%s@%s: attestation is %s", repository, child.Digest, state.Status)
			case !child.Attests() && len(state.Counts) > 0:
				findings++
			}
		}
	})
	if indexes < 200 || findings < indexes/2 {
		t.Errorf("%d indexes, %d children with findings", indexes, findings)
	}
}
