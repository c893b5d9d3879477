package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account, region = "123456789012", "eu-west-1"

// start serves a registry with one repository, app, that has one image.
func start(t *testing.T) *ecrtest.Server {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	check(t, registry.PutRepository(ecrtest.Repository{Name: "app"}))
	check(t, registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("1"), Tags: []string{"v1"}}))
	return ecrtest.StartPipe(t, registry)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(server *ecrtest.Server) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(server.URL()),
		HTTPClient:   server.Client(),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}
}

func newECR(server *ecrtest.Server, at *awsapi.Limiter) *ecr.Client {
	return ecr.New(config(server), ecr.Options{Limiter: at})
}

// services are calls that speak each of the protocols that AWS's errors come in.
var services = []struct {
	name, operation string
	call            func(context.Context, *ecrtest.Server, *awsapi.Limiter) error
}{
	{"awsJson1.1", "DescribeImages", func(ctx context.Context, server *ecrtest.Server, at *awsapi.Limiter) error {
		_, _, err := newECR(server, at).Images(ctx, "app", "")
		return err
	}},
	{"restJson1", "ListCoverage", func(ctx context.Context, server *ecrtest.Server, at *awsapi.Limiter) error {
		_, _, err := inspector.New(config(server), at).Scans(ctx, "", "")
		return err
	}},
}

// Every fault that can pass is tried again, and throttles are told from the rest.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fault    ecrtest.Fault
		throttle bool
	}{
		{"ThrottlingException", ecrtest.FaultThrottling, true},
		{"ThrottlingException, 429", ecrtest.Fault{Status: http.StatusTooManyRequests, Code: "ThrottlingException", Message: "Rate exceeded"}, true},
		{"ThrottleException", ecrtest.FaultThrottle, true},
		{"TooManyRequestsException", ecrtest.FaultTooManyRequests, true},
		{"bare 429", ecrtest.FaultBare429, true},
		{"ServerException", ecrtest.FaultServer, false},
		{"InternalServerException", ecrtest.Fault{Status: http.StatusInternalServerError, Code: "InternalServerException"}, false},
		{"503", ecrtest.FaultUnavailable, false},
		{"reset", ecrtest.FaultReset, false},
		{"cut off", ecrtest.FaultTruncated, false},
		{"no JSON", ecrtest.FaultGarbage, false},
	} {
		for _, service := range services {
			t.Run(service.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, at := start(t), awsapi.NewLimiter(20)
					server.Fail(ecrtest.Match{Operation: service.operation}, 3, c.fault)
					check(t, service.call(t.Context(), server, at))
					calls, throttles := at.TakeCalls()
					want := map[string]int{}
					if c.throttle {
						want[service.operation] = 3
					}
					if calls[service.operation] != 4 || !cmp.Equal(throttles, want) {
						t.Errorf("calls %v, throttles %v, want 4 calls and throttles %v", calls, throttles, want)
					}
				})
			})
		}
	}
}

// Errors that are answers are not asked for again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  ecrtest.Fault
		denied bool
	}{
		{"AccessDeniedException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "not authorized"}, true},
		{"AccessDeniedException, 403", ecrtest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "not authorized"}, true},
		{"bare 403", ecrtest.Fault{Status: http.StatusForbidden}, true},
		{"ValidationException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "ValidationException"}, false},
		{"InvalidParameterException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "InvalidParameterException"}, false},
	} {
		for _, service := range services {
			t.Run(service.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, at := start(t), awsapi.NewLimiter(20)
					server.Fail(ecrtest.Match{}, ecrtest.Always, c.fault)
					err := service.call(t.Context(), server, at)
					if err == nil || errors.Is(err, awsapi.ErrDenied) != c.denied {
						t.Errorf("error %v, denied should be %t", err, c.denied)
					}
					if calls, throttles := at.TakeCalls(); calls[service.operation] != 1 || len(throttles) != 0 {
						t.Errorf("calls %v, throttles %v, want one call", calls, throttles)
					}
				})
			})
		}
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
		for _, service := range services {
			t.Run(service.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := start(t)
					server.Fail(ecrtest.Match{}, ecrtest.Always, c.fault)
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					begun := time.Now()
					err := service.call(ctx, server, awsapi.NewLimiter(20))
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
}

// A call that could not start before the deadline is not waited for.
func TestNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newECR(start(t), awsapi.NewLimiter(0.1))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := client.Images(ctx, "app", "")
		check(t, err)
		begun := time.Now()
		if _, _, err = client.Images(ctx, "app", ""); !errors.Is(err, awsapi.ErrNoTime) || time.Since(begun) != 0 {
			t.Errorf("error %v after %v, want ErrTime at once", err, time.Since(begun))
		}
		if !strings.Contains(fmt.Sprint(err), "0.1 a second") {
			t.Errorf("the error does not name the rate: %v", err)
		}
	})
}

// After the last attempt the error is the API's.
func TestAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, at := start(t), awsapi.NewLimiter(20)
		server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		_, _, err := newECR(server, at).Images(t.Context(), "app", "")
		if calls, _ := at.TakeCalls(); calls["DescribeImages"] != 8 {
			t.Errorf("%v calls, want 8", calls)
		}
		if err == nil || !strings.Contains(err.Error(), "ServerException") {
			t.Errorf("error %v", err)
		}
	})
}

// perTwentySeconds returns how many calls of an operation fit into twenty seconds.
func perTwentySeconds(t *testing.T, call func(context.Context) error) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := 0; ; n++ {
		if err := call(ctx); err != nil {
			if ctx.Err() == nil && !errors.Is(err, awsapi.ErrNoTime) {
				t.Fatal(err)
			}
			return n
		}
	}
}

// images is a call of DescribeImages.
func images(client *ecr.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := client.Images(ctx, "app", "")
		return err
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newECR(start(t), awsapi.NewLimiter(10))
		// A burst of one second's worth, then 10 a second.
		if n := perTwentySeconds(t, images(client)); n < 200 || n > 210 {
			t.Errorf("%d calls in 20 s, want 10 a second", n)
		}
		// Other operations have a bucket of their own.
		begun := time.Now()
		if _, err := client.Repositories(t.Context()); err != nil || time.Since(begun) != 0 {
			t.Errorf("DescribeRepositories waited %v behind DescribeImages, error %v", time.Since(begun), err)
		}
	})
}

// Set gives operations a rate of their own, and a bucket each.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, at := start(t), awsapi.NewLimiter(10)
		at.SetRate(2, "DescribeImageScanFindings", "ListCoverage")
		client, lists := newECR(server, at), inspector.New(config(server), at)
		digest, err := inventory.ParseDigest(ecrtest.Digest("1"))
		check(t, err)
		for _, c := range []struct {
			operation string
			call      func(context.Context) error
			least     int
		}{
			{"DescribeImages", images(client), 200},
			{"DescribeImageScanFindings", func(ctx context.Context) error {
				_, err := client.Scan(ctx, "app", digest)
				return err
			}, 40},
			{"ListCoverage", func(ctx context.Context) error {
				_, _, err := lists.Scans(ctx, "", "")
				return err
			}, 40},
		} {
			if n := perTwentySeconds(t, c.call); n < c.least || n > c.least*21/20 {
				t.Errorf("%s: %d calls in 20 s, want %d or a little more", c.operation, n, c.least)
			}
		}
	})
}

// A throttled operation goes slower, others do not, and it recovers when it is let.
func TestRateAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, at := start(t), awsapi.NewLimiter(40)
		client := newECR(server, at)
		server.SetRate("DescribeImages", 10, 1)
		made := perTwentySeconds(t, images(client))
		calls, throttles := at.TakeCalls()
		if made < 100 || throttles["DescribeImages"] == 0 || throttles["DescribeImages"] > calls["DescribeImages"]/4 {
			t.Errorf("at a limit of 10 a second: %d answers, calls %v, throttles %v; want most of 200 and few throttles", made, calls, throttles)
		}
		if made = perTwentySeconds(t, func(ctx context.Context) error {
			_, err := client.Repositories(ctx)
			return err
		}); made < 800 {
			t.Errorf("%d answers of an operation that is not throttled, want 40 a second", made)
		}
		server.SetRate("DescribeImages", 0, 0)
		if made = perTwentySeconds(t, images(client)); made < 400 {
			t.Errorf("%d answers in the 20 s after the limit was lifted, want most of 800", made)
		}
	})
}

// However often it is throttled, an operation keeps a share of its rate, from which it
// recovers.
func TestRateKeepsAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, at := start(t), awsapi.NewLimiter(32)
		client := newECR(server, at)
		server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultThrottling)
		for range 10 { // eight attempts each
			if err := images(client)(t.Context()); err == nil {
				t.Fatal("no error")
			}
		}
		server.ClearFaults()
		// From one attempt a second, and each second about one more.
		if made := perTwentySeconds(t, images(client)); made < 150 {
			t.Errorf("%d answers in the 20 s after the limit was lifted", made)
		}
	})
}

// Counts are told once.
func TestTakeCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, at := start(t), awsapi.NewLimiter(20)
		server.Fail(ecrtest.Match{}, 1, ecrtest.FaultThrottling)
		check(t, images(newECR(server, at))(t.Context()))
		calls, throttles := at.TakeCalls()
		if !cmp.Equal(calls, map[string]int{"DescribeImages": 2}) || !cmp.Equal(throttles, map[string]int{"DescribeImages": 1}) {
			t.Errorf("calls %v, throttles %v", calls, throttles)
		}
		if calls, throttles = at.TakeCalls(); len(calls)+len(throttles) != 0 {
			t.Errorf("taken twice: calls %v, throttles %v", calls, throttles)
		}
	})
}
