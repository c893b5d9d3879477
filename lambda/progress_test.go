package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out)
		p.terminal = true
		p.refreshing("repositories", 1, 9) // too early
		time.Sleep(progressAfter)
		p.refreshing("repositories", 2, 9)
		p.refreshing("repositories", 3, 9) // too soon after the last
		if _, err := p.Write([]byte("a log line\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(progressEvery)
		p.refreshing("repositories", 4, 9)
		p.refreshing("repositories", 9, 9)
		want := eraseLine + "refreshing: 2 of 9 repositories" + eraseLine + "a log line\n" +
			eraseLine + "refreshing: 4 of 9 repositories" + eraseLine + "refreshing: 9 of 9 repositories\n"
		if out.String() != want {
			t.Errorf("got %q\nwant %q", out.String(), want)
		}
	})
}

// The first failed attempt of a push is written at once, others are counted.
func TestProgressOfPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out)
		p.terminal = true
		failed := &remotewrite.DeliveryError{URL: "http://host/", Series: 5000, Status: 503, Attempts: 1}
		p.pushing(0, failed)
		time.Sleep(progressAfter)
		p.pushing(5000, nil)
		time.Sleep(progressEvery)
		p.pushing(5000, failed)
		time.Sleep(progressEvery)
		p.pushing(28, nil) // another push, of the run metrics
		p.clear()
		p.clear()
		want := "The first attempt failed, trying again for up to 5m0s: remote write of 5,000 series to http://host/: HTTP 503\n" +
			eraseLine + "pushing: 5,000 series, 1 failed attempt" + eraseLine + "pushing: 5,000 series, 2 failed attempts" + eraseLine
		if out.String() != want {
			t.Errorf("got %q\nwant %q", out.String(), want)
		}
	})
}

// If the output is not a terminal, only log lines are written.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newProgress(&out)
	p.started = time.Now().Add(-time.Hour)
	p.refreshing("repositories", 1, 9)
	if _, err := p.Write([]byte("a log line\n")); err != nil || out.String() != "a log line\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
