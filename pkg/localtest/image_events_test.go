//go:build unix

package localtest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestImageEvents: an image is pushed, scanned and deleted, and then another, each time with
// its event; a result that does not show the change is an error.
func TestImageEvents(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r, err := StartRegistry(now, 40, 600, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Server.Close()
	before := r.Totals()
	size := []Sample{{Labels: map[string]string{"__name__": "aws_ecr_image_size_in_bytes"}, Value: 1}}
	images := map[string]bool{}
	for i := range 6 {
		now = now.Add(time.Second)
		c, err := r.Next(now)
		if err != nil {
			t.Fatal(err)
		}
		images[c.Image] = true
		var event struct {
			DetailType string `json:"detail-type"`
			Detail     struct {
				Action     string           `json:"action-type"`
				Repository string           `json:"repository-name"`
				Digest     string           `json:"image-digest"`
				Counts     map[string]int32 `json:"finding-severity-counts"`
			}
		}
		if err := json.Unmarshal(c.Event, &event); err != nil {
			t.Fatal(err)
		}
		if event.Detail.Repository != r.image.repository || event.Detail.Digest != r.image.digest || !strings.Contains(c.PromQL, r.URI(c.Image)) {
			t.Errorf("image %s: event %s, query %s", c.Image, c.Event, c.PromQL)
		}
		scan, scanned := r.Scan(r.image.repository, r.image.digest, now)
		var counts []Sample
		for severity, n := range scan.Counts {
			counts = append(counts, Sample{Labels: map[string]string{"severity": severity}, Value: float64(n)})
		}
		wants := []struct {
			what, detailType, action, status string
			good, bad                        []Sample
		}{
			{"pushed", "ECR Image Action", "PUSH", "IN_PROGRESS", size, nil},
			{"scanned", "ECR Image Scan", "", "COMPLETE", append(counts, size...), size},
			{"deleted", "ECR Image Action", "DELETE", "", nil, size},
		}
		want := wants[i%3]
		if c.What != want.what || event.DetailType != want.detailType || event.Detail.Action != want.action {
			t.Errorf("%s, event %s %s, want %s, event %s %s", c.What, event.DetailType, event.Detail.Action, want.what, want.detailType, want.action)
		}
		if scan.Status != want.status || scanned != (want.status != "") || !cmp.Equal(scan.Counts, event.Detail.Counts) {
			t.Errorf("%s: scan %+v, event %s, want status %s", c.What, scan, c.Event, want.status)
		}
		if shows, err := c.Check(want.good); err != nil || shows == "" {
			t.Errorf("%s: %q, error %v", c.What, shows, err)
		}
		if shows, err := c.Check(want.bad); err == nil {
			t.Errorf("%s: %q, want an error", c.What, shows)
		}
	}
	if len(images) != 2 || r.Totals() != before {
		t.Errorf("images %v, totals %+v, before %+v", images, r.Totals(), before)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	if got := findings(map[string]int32{"LOW": 30, "HIGH": 2, "CRITICAL": 1}); got != "1 CRITICAL, 2 HIGH, 30 LOW" {
		t.Errorf("%q", got)
	}
}
