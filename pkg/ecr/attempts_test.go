package ecr_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/pace"
)

// Every fault that can pass is tried again, and throttles are told from the rest.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fault    ecrtest.Fault
		throttle bool
	}{
		{"ThrottlingException", ecrtest.FaultThrottling, true},
		{"ThrottleException", ecrtest.FaultThrottle, true},
		{"TooManyRequestsException", ecrtest.FaultTooManyRequests, true},
		{"bare 429", ecrtest.FaultBare429, true},
		{"ServerException", ecrtest.FaultServer, false},
		{"503", ecrtest.FaultUnavailable, false},
		{"reset", ecrtest.FaultReset, false},
		{"cut off", ecrtest.FaultTruncated, false},
		{"no JSON", ecrtest.FaultGarbage, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t, 1)
				server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 3, c.fault)
				client := newClient(server, ecr.Options{})
				images, err := all(t.Context(), client, "app")
				check(t, err)
				calls, throttles := client.TakeCalls()
				want := 0
				if c.throttle {
					want = 3
				}
				if len(images) != 1 || calls["DescribeImages"] != 4 || throttles["DescribeImages"] != want {
					t.Errorf("%d images, calls %v, throttles %v, want 4 calls and %d throttles", len(images), calls, throttles, want)
				}
			})
		})
	}
}

// A call that cannot succeed ends by the deadline and says what the API answered.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault ecrtest.Fault
		text  string
	}{
		{"throttled", ecrtest.FaultThrottling, "Rate exceeded"},
		{"server fault", ecrtest.FaultServer, "ServerException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t, 1)
				server.Fail(ecrtest.Match{}, ecrtest.Always, c.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				begun := time.Now()
				_, err := all(ctx, newClient(server, ecr.Options{}), "app")
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				if err == nil || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %v, want one that tells of %q", err, c.text)
				}
			})
		})
	}
}

// After maxAttempts the error is the API's.
func TestAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 1)
		server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		client := newClient(server, ecr.Options{})
		_, err := all(t.Context(), client, "app")
		if calls, _ := client.TakeCalls(); calls["DescribeImages"] != 8 {
			t.Errorf("%v calls, want 8", calls)
		}
		if err == nil || !strings.Contains(err.Error(), "ServerException") {
			t.Errorf("error %v", err)
		}
	})
}

// perTwentySeconds returns how many calls of an operation fit into twenty seconds.
func perTwentySeconds(t *testing.T, client paced) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := 0; ; n++ {
		if _, _, err := client.Images(ctx, "app", ""); err != nil {
			if ctx.Err() == nil && !errors.Is(err, inventory.ErrTime) {
				t.Fatal(err)
			}
			return n
		}
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 0)
		client := newClient(server, ecr.Options{Pace: pace.New(10)})
		// A burst of one second's worth, then 10 a second.
		if n := perTwentySeconds(t, client); n < 200 || n > 210 {
			t.Errorf("%d calls in 20 s, want 10 a second", n)
		}
		// Other operations have a bucket of their own.
		begun := time.Now()
		if _, err := client.Repositories(t.Context()); err != nil || time.Since(begun) != 0 {
			t.Errorf("DescribeRepositories waited %v behind DescribeImages, error %v", time.Since(begun), err)
		}
	})
}

// A throttled operation goes slower, and recovers when it is let.
func TestRateAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 0)
		client := newClient(server, ecr.Options{Pace: pace.New(40)})
		server.SetRate("DescribeImages", 10, 1)
		made := perTwentySeconds(t, client)
		calls, throttles := client.TakeCalls()
		if made < 100 || throttles["DescribeImages"] == 0 || throttles["DescribeImages"] > calls["DescribeImages"]/4 {
			t.Errorf("at a limit of 10 a second: %d answers, calls %v, throttles %v; want most of 200 and few throttles", made, calls, throttles)
		}
		server.SetRate("DescribeImages", 0, 0)
		if made = perTwentySeconds(t, client); made < 400 {
			t.Errorf("%d answers in the 20 s after the limit was lifted, want most of 800", made)
		}
	})
}
