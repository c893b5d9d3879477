//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// The variables with which make run has the past hour written: its end, and a new folder.
const (
	hourEnd    = "HOUR_END"
	hourFolder = "HOUR_FOLDER"
)

// Some requests are throttled before one of the pushes, so that there is such a curve.
const throttledPush, throttled = 13, 9

// TestHour runs the function in the past hour of the world of make run, which can only be
// done in virtual time: it writes the function's requests to the remote-write endpoint into
// files, for make run to send. Without being told to, it checks that there are some.
func TestHour(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_REGION", localtest.Region)
	end, folder := time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC), os.Getenv(hourFolder)
	var environ []string
	if folder == "" {
		folder = t.TempDir()
	} else {
		environ = os.Environ() // what make run sets, and nothing else
		if err := end.UnmarshalText([]byte(os.Getenv(hourEnd))); err != nil {
			t.Fatalf("%s: %v", hourEnd, err)
		}
	}
	environ = append(environ,
		"REMOTE_WRITE_URL=https://"+hostReceiver+localtest.RemoteWritePath, "REMOTE_WRITE_AUTH=none",
		// The one that VictoriaMetrics speaks. Its answer is not asked for.
		"REMOTE_WRITE_PROTOCOL=1.0",
	)
	synctest.Test(t, func(t *testing.T) {
		w, err := localtest.NewWorld(end)
		if err != nil {
			t.Fatal(err)
		}
		h := &hour{aws: w.Registry.Server, folder: folder}
		// Modelled on what ECR and AMP take within a Region.
		h.aws.SetLatency("", 20*time.Millisecond, 60*time.Millisecond)
		f := newFunctionOver(h, environ, io.Discard)
		invoke := func(at time.Time, event []byte) {
			t.Helper()
			time.Sleep(time.Until(at))
			ctx, cancel := context.WithTimeout(t.Context(), 110*time.Second)
			defer cancel()
			if _, err := f.handle(ctx, event); err != nil {
				t.Fatalf("the push at %s: %v", at, err)
			}
		}
		// The first run reads everything. It is so long ago that no graph of the hour has it.
		invoke(end.Add(-70*time.Minute), []byte("{}"))
		for n := range localtest.HourPushes {
			at, events, err := w.Step(n)
			if err != nil {
				t.Fatal(err)
			}
			if n == throttledPush {
				h.aws.Fail(ecrtest.Match{Operation: "DescribeImages"}, throttled, ecrtest.FaultThrottling)
			}
			for _, event := range append(events, []byte("{}")) {
				invoke(at, event)
			}
		}
		if n := int(h.files.Load()); n < 2*localtest.HourPushes {
			t.Errorf("%d requests of %d pushes, want at least two of each: series and run metrics", n, localtest.HourPushes)
		}
	})
}

// hour is what the function reaches while it runs in the past.
type hour struct {
	aws    *ecrtest.Server
	folder string
	files  atomic.Int64
}

// RoundTrip answers for ECR, and writes the body of a push into the next file.
func (h *hour) RoundTrip(r *http.Request) (*http.Response, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	if req.service != serviceReceiver {
		return answered(h.aws, req)
	}
	time.Sleep(60*time.Millisecond + rand.N(60*time.Millisecond))
	name := filepath.Join(h.folder, fmt.Sprintf("%04d", h.files.Add(1)))
	if err := os.WriteFile(name, req.body, 0o600); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}
