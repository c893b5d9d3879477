package remotewrite

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// A push keeps to its rate while there is time, and is never shortened by it.
func TestRate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rate     float64
		deadline time.Duration
		took     time.Duration
		exceeded bool
	}{
		"no rate":                   {0, time.Minute, 0, false},
		"in time":                   {100, time.Minute, 9 * time.Second, false},
		"no deadline":               {10, 0, 90 * time.Second, false},
		"half of the time, at most": {10, time.Minute, 30 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				requests := 0
				sender, err := New(Options{
					URL: &url.URL{Scheme: "http", Host: "receiver.invalid"}, MaxSeries: 100, Concurrency: 1,
					Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
						requests++
						return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
					})},
				})
				if err != nil {
					t.Fatal(err)
				}
				sender.SetRate(test.rate)
				push, err := sender.Push(ctx, time.Now(), images(1000), nil)
				if err != nil || push.Accepted != 1000 || requests != 10 {
					t.Errorf("%d series accepted in %d requests: %v", push.Accepted, requests, err)
				}
				if push.Duration.Round(time.Millisecond) != test.took || push.RateExceeded != test.exceeded {
					t.Errorf("took %s, want %s; rate exceeded: %t", push.Duration, test.took, push.RateExceeded)
				}
			})
		})
	}
}

// Pushes of one batch keep to the rate together.
func TestRateOfPushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sender, err := New(Options{
			URL: &url.URL{Scheme: "http", Host: "receiver.invalid"},
			Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		sender.SetRate(100)
		begun := time.Now()
		for n, took := range []time.Duration{0, 2 * time.Second, 4 * time.Second} {
			if _, err := sender.Push(t.Context(), time.Now(), images(200), nil); err != nil || time.Since(begun).Round(time.Millisecond) != took {
				t.Errorf("push %d ended after %s, want %s: %v", n, time.Since(begun), took, err)
			}
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
