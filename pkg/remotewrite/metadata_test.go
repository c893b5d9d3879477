package remotewrite

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestMetadata: it is sent with the first push and then at most hourly, in a request of
// its own after the series.
func TestMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		s := newSender(t, to, nil)
		start := time.Now()
		var sent []time.Duration
		for i := range 100 { // every 2 minutes
			before := len(to.Requests())
			if _, err := s.Push(t.Context(), at.Add(time.Duration(i)*2*time.Minute), images(10), families); err != nil {
				t.Fatal(err)
			}
			requests := to.Requests()[before:]
			if len(requests) == 2 && requests[0].Series == 10 && requests[1].Metadata == 2 && requests[1].Series == 0 {
				sent = append(sent, requests[1].At.Sub(start))
			} else if len(requests) != 1 || requests[0].Metadata != 0 {
				t.Errorf("push %d: %+v", i, requests)
			}
			time.Sleep(2 * time.Minute)
		}
		if diff := cmp.Diff([]time.Duration{0, time.Hour, 2 * time.Hour, 3 * time.Hour}, sent); diff != "" {
			t.Error(diff)
		}
		want := map[string]remotewritetest.Metadata{
			"aws_ecr_image_size_in_bytes": {Type: "gauge", Help: "The size of an image in bytes"},
			"aws_ecr_repository_info":     {Type: "gauge", Help: "ECR repository information"},
		}
		if diff := cmp.Diff(want, to.Metadata()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestMetadataFailing: it costs one attempt a push and never the push; it is
// logged, and sent when it can be.
func TestMetadataFailing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]remotewritetest.Answer{
		"400":       {Status: 400, Body: "no metadata here"},
		"500":       {Status: 500},
		"closed":    {Close: true},
		"no answer": {Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(slices.Concat(slices.Repeat(answers{{}, fault}, 3), answers{{}, {}, {}, {}})...)
				var log logs
				s := newSender(t, to, func(o *Options) { o.Logger = log.logger(t) })
				for i := range 5 {
					start := time.Now()
					report, err := s.Push(t.Context(), at, images(10), families)
					checkReport(t, report, err)
					if err != nil || report.Accepted != 10 || report.Retries != 0 {
						t.Errorf("push %d: %+v, %v", i, report, err)
					}
					if took := time.Since(start); took > DefaultTimeout {
						t.Errorf("push %d took %s", i, took)
					}
				}
				if n := len(to.Requests()); n != 9 || len(to.Metadata()) != 2 {
					t.Errorf("%d requests, metadata %v", n, to.Metadata())
				}
				warnings := 0
				for _, l := range log.lines(t) {
					if l["level"] == "WARN" {
						warnings++
						if !strings.Contains(l["error"].(string), "remote write of metadata to http://receiver.test/api/v1/write: ") {
							t.Error(l)
						}
					}
				}
				if warnings != 3 {
					t.Errorf("%d warnings", warnings)
				}
			})
		})
	}
}

// TestMetadataAfterDeadline: it is not sent, and due with the next push.
func TestMetadataAfterDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{Delay: time.Hour}}...)
		var log logs
		s := newSender(t, to, func(o *Options) { o.Logger = log.logger(t) })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := s.Push(ctx, at, images(10), families)
		cancel()
		if err == nil || len(to.Requests()) != 1 || strings.Contains(log.String(), "metadata") {
			t.Errorf("%d requests, %v\n%s", len(to.Requests()), err, &log.buf)
		}
		if _, err := s.Push(t.Context(), at, images(10), families); err != nil || len(to.Metadata()) != 2 {
			t.Errorf("metadata %v, %v", to.Metadata(), err)
		}
	})
}
