//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// lifecycle is that of the image whose events are sent: it is pushed, scanned and deleted,
// and then the next image is.
type lifecycle struct {
	repository, digest, tag string
	steps                   int // of all images so far
}

// change is a change of the image, and the event that ECR sends for it.
type change struct {
	image, what string
	event       json.RawMessage
	// promQL selects all series of the image. check describes the result in a few words;
	// the error is that the result does not agree with the change.
	promQL string
	check  func(pushed summary, result []sample) (string, error)
}

// steps are those of a lifecycle.
var steps = []func(*registry, time.Time) (change, error){(*registry).push, (*registry).scan, (*registry).delete}

// next makes the next change of the image at a time.
func (r *registry) next(now time.Time) (change, error) {
	c, err := steps[r.image.steps%len(steps)](r, now)
	if err != nil {
		return change{}, err
	}
	r.image.steps++
	c.image = r.image.repository + ":" + r.image.tag
	c.promQL = fmt.Sprintf("{image=%q}", r.URI(r.image.repository)+":"+r.image.tag)
	return c, nil
}

// push adds an image to a repository. Its scan is in progress.
func (r *registry) push(now time.Time) (change, error) {
	repositories := r.Repositories()
	digest := ecrtest.Digest(fmt.Sprint("image ", r.image.steps))
	_, sum, _ := strings.Cut(digest, ":")
	r.image.repository, r.image.digest, r.image.tag = repositories[r.rng.IntN(len(repositories))].Name, digest, "sha-"+sum[:7]
	if err := errors.Join(
		r.PutImage(r.image.repository, ecrtest.Image{Digest: digest, Tags: []string{r.image.tag}, SizeBytes: new(50e6 + r.rng.Int64N(100e6)), PushedAt: now}),
		r.SetScan(r.image.repository, digest, ecrtest.Scan{States: []ecrtest.ScanState{{At: now, Status: "IN_PROGRESS"}}}),
	); err != nil {
		return change{}, err
	}
	return change{
		what: "pushed", event: r.PushEvent(r.image.repository, digest, r.image.tag, now),
		check: func(_ summary, result []sample) (string, error) {
			if len(result) == 0 {
				return "", errors.New("it has no series")
			}
			return grouped(len(result)) + " series", nil
		},
	}, nil
}

// scan completes the scan of the image.
func (r *registry) scan(now time.Time) (change, error) {
	counts := map[string]int32{"CRITICAL": 1 + r.rng.Int32N(3), "HIGH": 1 + r.rng.Int32N(9), "LOW": 1 + r.rng.Int32N(30)}
	if err := r.Rescan(r.image.repository, r.image.digest, ecrtest.ScanState{At: now, CompletedAt: now, Counts: counts}); err != nil {
		return change{}, err
	}
	event, err := r.ScanEvent(r.image.repository, r.image.digest, now)
	if err != nil {
		return change{}, err
	}
	return change{
		what: "scanned", event: event,
		check: func(_ summary, result []sample) (string, error) {
			got := map[string]int32{}
			for _, s := range result {
				if severity := s.labels["severity"]; severity != "" {
					got[severity] = int32(s.value)
				}
			}
			if !maps.Equal(got, counts) {
				return "", fmt.Errorf("findings %v, want %v", got, counts)
			}
			return findings(got), nil
		},
	}, nil
}

// findings formats counts, the most severe first.
func findings(counts map[string]int32) string {
	var texts []string
	for _, severity := range []string{"CRITICAL", "HIGH", "LOW"} {
		texts = append(texts, fmt.Sprintf("%d %s", counts[severity], severity))
	}
	return strings.Join(texts, ", ")
}

// delete deletes the image.
func (r *registry) delete(now time.Time) (change, error) {
	if err := r.DeleteImage(r.image.repository, r.image.digest); err != nil {
		return change{}, err
	}
	return change{
		what: "deleted", event: r.DeleteEvent(r.image.repository, r.image.digest, r.image.tag, now),
		check: func(pushed summary, result []sample) (string, error) {
			if len(result) > 0 || pushed.Ended == 0 {
				return "", fmt.Errorf("it has %d series, after %d ended", len(result), pushed.Ended)
			}
			return grouped(pushed.Ended) + " series ended", nil
		},
	}, nil
}
