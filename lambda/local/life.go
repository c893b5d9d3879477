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

// life is that of the image which events tell of: it is pushed, scanned and deleted,
// and then comes the next.
type life struct {
	repository, digest, tag string
	// steps counts what has happened to images so far.
	steps int
}

// change is something that happened to the image, and the event that ECR sends of it.
type change struct {
	image, what string
	event       json.RawMessage
	// promQL asks for all series of the image, and shows tells in a few words what
	// the answer shows; the error is that it is not what happened.
	promQL string
	shows  func(pushed summary, answer []sample) (string, error)
}

// lives are the steps of a life.
var lives = []func(*registry, time.Time) (change, error){(*registry).push, (*registry).scan, (*registry).delete}

// live lets the next thing happen to the image at a time.
func (r *registry) live(now time.Time) (change, error) {
	c, err := lives[r.life.steps%len(lives)](r, now)
	if err != nil {
		return change{}, err
	}
	r.life.steps++
	c.image = r.life.repository + ":" + r.life.tag
	c.promQL = fmt.Sprintf("{image=%q}", r.URI(r.life.repository)+":"+r.life.tag)
	return c, nil
}

// push adds an image to some repository. Its scan is under way.
func (r *registry) push(now time.Time) (change, error) {
	repositories := r.Repositories()
	digest := ecrtest.Digest(fmt.Sprint("life ", r.life.steps))
	_, sum, _ := strings.Cut(digest, ":")
	r.life.repository, r.life.digest, r.life.tag = repositories[r.rng.IntN(len(repositories))].Name, digest, "sha-"+sum[:7]
	if err := errors.Join(
		r.PutImage(r.life.repository, ecrtest.Image{Digest: digest, Tags: []string{r.life.tag}, SizeBytes: new(50e6 + r.rng.Int64N(100e6)), PushedAt: now}),
		r.SetScan(r.life.repository, digest, ecrtest.Scan{States: []ecrtest.ScanState{{At: now, Status: "IN_PROGRESS"}}}),
	); err != nil {
		return change{}, err
	}
	return change{
		what: "pushed", event: r.PushEvent(r.life.repository, digest, r.life.tag, now),
		shows: func(_ summary, answer []sample) (string, error) {
			if len(answer) == 0 {
				return "", errors.New("it has no series")
			}
			return grouped(len(answer)) + " series", nil
		},
	}, nil
}

// scan ends the scan of the image.
func (r *registry) scan(now time.Time) (change, error) {
	counts := map[string]int32{"CRITICAL": 1 + r.rng.Int32N(3), "HIGH": 1 + r.rng.Int32N(9), "LOW": 1 + r.rng.Int32N(30)}
	if err := r.Rescan(r.life.repository, r.life.digest, ecrtest.ScanState{At: now, CompletedAt: now, Counts: counts}); err != nil {
		return change{}, err
	}
	event, err := r.ScanEvent(r.life.repository, r.life.digest, now)
	if err != nil {
		return change{}, err
	}
	return change{
		what: "scanned", event: event,
		shows: func(_ summary, answer []sample) (string, error) {
			got := map[string]int32{}
			for _, s := range answer {
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

// findings writes counts, the worst first.
func findings(counts map[string]int32) string {
	var texts []string
	for _, severity := range []string{"CRITICAL", "HIGH", "LOW"} {
		texts = append(texts, fmt.Sprintf("%d %s", counts[severity], severity))
	}
	return strings.Join(texts, ", ")
}

// delete deletes the image.
func (r *registry) delete(now time.Time) (change, error) {
	if err := r.DeleteImage(r.life.repository, r.life.digest); err != nil {
		return change{}, err
	}
	return change{
		what: "deleted", event: r.DeleteEvent(r.life.repository, r.life.digest, r.life.tag, now),
		shows: func(pushed summary, answer []sample) (string, error) {
			if len(answer) > 0 || pushed.Ended == 0 {
				return "", fmt.Errorf("it has %d series, after %d ended", len(answer), pushed.Ended)
			}
			return grouped(pushed.Ended) + " series ended", nil
		},
	}, nil
}
