//go:build unix

package main

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
	r, err := startRegistry(now, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.server.Close()
	before := r.Totals()
	size := []sample{{labels: map[string]string{"__name__": "aws_ecr_image_size_in_bytes"}, value: 1}}
	images := map[string]bool{}
	for i := range 6 {
		now = now.Add(time.Second)
		c, err := r.next(now)
		if err != nil {
			t.Fatal(err)
		}
		images[c.image] = true
		var event struct {
			DetailType string `json:"detail-type"`
			Detail     struct {
				Action     string           `json:"action-type"`
				Repository string           `json:"repository-name"`
				Digest     string           `json:"image-digest"`
				Counts     map[string]int32 `json:"finding-severity-counts"`
			}
		}
		if err := json.Unmarshal(c.event, &event); err != nil {
			t.Fatal(err)
		}
		if event.Detail.Repository != r.image.repository || event.Detail.Digest != r.image.digest || !strings.Contains(c.promQL, r.URI(c.image)) {
			t.Errorf("image %s: event %s, query %s", c.image, c.event, c.promQL)
		}
		scan, scanned := r.Scan(r.image.repository, r.image.digest, now)
		var counts []sample
		for severity, n := range scan.Counts {
			counts = append(counts, sample{labels: map[string]string{"severity": severity}, value: float64(n)})
		}
		wants := []struct {
			what, detailType, action, status string
			good, bad                        []sample
		}{
			{"pushed", "ECR Image Action", "PUSH", "IN_PROGRESS", size, nil},
			{"scanned", "ECR Image Scan", "", "COMPLETE", append(counts, size...), size},
			{"deleted", "ECR Image Action", "DELETE", "", nil, size},
		}
		want := wants[i%3]
		if c.what != want.what || event.DetailType != want.detailType || event.Detail.Action != want.action {
			t.Errorf("%s, event %s %s, want %s, event %s %s", c.what, event.DetailType, event.Detail.Action, want.what, want.detailType, want.action)
		}
		if scan.Status != want.status || scanned != (want.status != "") || !cmp.Equal(scan.Counts, event.Detail.Counts) {
			t.Errorf("%s: scan %+v, event %s, want status %s", c.what, scan, c.event, want.status)
		}
		if shows, err := c.check(summary{Ended: 7}, want.good); err != nil || shows == "" {
			t.Errorf("%s: %q, error %v", c.what, shows, err)
		}
		if shows, err := c.check(summary{Ended: 7}, want.bad); err == nil {
			t.Errorf("%s: %q, want an error", c.what, shows)
		}
		if c.what == "deleted" {
			if shows, err := c.check(summary{}, nil); err == nil {
				t.Errorf("nothing ended: %q, want an error", shows)
			}
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
