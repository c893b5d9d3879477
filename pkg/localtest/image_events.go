//go:build unix

package localtest

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

// Change is a change of the image, and the event that ECR sends for it.
type Change struct {
	Image, What string
	Event       json.RawMessage
	// PromQL selects all series of the image. Check describes the result in a few words;
	// the error is that the result does not show the change.
	PromQL string
	Check  func(result []Sample) (string, error)
}

// ImageChanges is the number of changes of each image.
const ImageChanges = 3

// steps are those of a lifecycle.
var steps = [ImageChanges]func(*Registry, time.Time) (Change, error){(*Registry).push, (*Registry).scan, (*Registry).delete}

// Next makes the next change of the image at a time.
func (r *Registry) Next(now time.Time) (Change, error) {
	c, err := steps[r.image.steps%ImageChanges](r, now)
	if err != nil {
		return Change{}, err
	}
	r.image.steps++
	c.Image = r.image.repository + ":" + r.image.tag
	c.PromQL = fmt.Sprintf("{image=%q}", r.URI(r.image.repository)+":"+r.image.tag)
	return c, nil
}

// push adds an image to a repository. Its scan is in progress.
func (r *Registry) push(now time.Time) (Change, error) {
	repositories := r.Repositories()
	digest := ecrtest.Digest(fmt.Sprint("image ", r.image.steps))
	_, sum, _ := strings.Cut(digest, ":")
	r.image.repository, r.image.digest, r.image.tag = repositories[r.rng.IntN(len(repositories))].Name, digest, "sha-"+sum[:7]
	if err := errors.Join(
		r.PutImage(r.image.repository, ecrtest.Image{Digest: digest, Tags: []string{r.image.tag}, SizeBytes: new(50e6 + r.rng.Int64N(100e6)), PushedAt: now}),
		r.SetScan(r.image.repository, digest, ecrtest.Scan{States: []ecrtest.ScanState{{At: now, Status: "IN_PROGRESS"}}}),
	); err != nil {
		return Change{}, err
	}
	return Change{
		What: "pushed", Event: r.PushEvent(r.image.repository, digest, r.image.tag, now),
		Check: func(result []Sample) (string, error) {
			if len(result) == 0 {
				return "", errors.New("it has no series")
			}
			return fmt.Sprintf("%d series", len(result)), nil
		},
	}, nil
}

// scan completes the scan of the image.
func (r *Registry) scan(now time.Time) (Change, error) {
	counts := map[string]int32{"CRITICAL": 1 + r.rng.Int32N(3), "HIGH": 1 + r.rng.Int32N(9), "LOW": 1 + r.rng.Int32N(30)}
	if err := r.Rescan(r.image.repository, r.image.digest, ecrtest.ScanState{At: now, CompletedAt: now, Counts: counts}); err != nil {
		return Change{}, err
	}
	event, err := r.ScanEvent(r.image.repository, r.image.digest, now)
	if err != nil {
		return Change{}, err
	}
	return Change{
		What: "scanned", Event: event,
		Check: func(result []Sample) (string, error) {
			got := map[string]int32{}
			for _, s := range result {
				if severity := s.Labels["severity"]; severity != "" {
					got[severity] = int32(s.Value)
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
func (r *Registry) delete(now time.Time) (Change, error) {
	if err := r.DeleteImage(r.image.repository, r.image.digest); err != nil {
		return Change{}, err
	}
	return Change{
		What: "deleted", Event: r.DeleteEvent(r.image.repository, r.image.digest, r.image.tag, now),
		Check: func(result []Sample) (string, error) {
			if len(result) > 0 {
				return "", fmt.Errorf("it has %d series", len(result))
			}
			return "no series", nil
		},
	}, nil
}
