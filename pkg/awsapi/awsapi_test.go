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

func newECR(server *ecrtest.Server, limiter *awsapi.Limiter) *ecr.Client {
	return ecr.New(config(server), ecr.Options{Limiter: limiter})
}

// services has a call for each of the protocols that AWS's errors are encoded in.
var services = []struct {
	name, operation string
	call            func(context.Context, *ecrtest.Server, *awsapi.Limiter) error
}{
	{"awsJson1.1", "DescribeImages", func(ctx context.Context, server *ecrtest.Server, limiter *awsapi.Limiter) error {
		_, _, err := newECR(server, limiter).Images(ctx, "app", "")
		return err
	}},
	{"restJson1", "ListCoverage", func(ctx context.Context, server *ecrtest.Server, limiter *awsapi.Limiter) error {
		_, _, err := inspector.New(config(server), limiter).Scans(ctx, "", "")
		return err
	}},
}

// Transient faults are retried, other errors are not; throttles are counted, and
// missing permissions recognized.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fault   ecrtest.Fault
		outcome string
	}{
		{"ThrottlingException", ecrtest.FaultThrottling, "throttled"},
		{"ThrottlingException, 429", ecrtest.Fault{Status: http.StatusTooManyRequests, Code: "ThrottlingException", Message: "Rate exceeded"}, "throttled"},
		{"ThrottleException", ecrtest.FaultThrottle, "throttled"},
		{"TooManyRequestsException", ecrtest.FaultTooManyRequests, "throttled"},
		{"bare 429", ecrtest.FaultBare429, "throttled"},
		{"ServerException", ecrtest.FaultServer, "retried"},
		{"InternalServerException", ecrtest.Fault{Status: http.StatusInternalServerError, Code: "InternalServerException"}, "retried"},
		{"503", ecrtest.FaultUnavailable, "retried"},
		{"reset", ecrtest.FaultReset, "retried"},
		{"cut off", ecrtest.FaultTruncated, "retried"},
		{"not JSON", ecrtest.FaultGarbage, "retried"},
		{"AccessDeniedException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "not authorized"}, "denied"},
		{"AccessDeniedException, 403", ecrtest.Fault{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "not authorized"}, "denied"},
		{"bare 403", ecrtest.Fault{Status: http.StatusForbidden}, "denied"},
		{"ExpiredTokenException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "ExpiredTokenException"}, "refused"},
		{"UnrecognizedClientException, 403", ecrtest.Fault{Status: http.StatusForbidden, Code: "UnrecognizedClientException"}, "refused"},
		{"RepositoryNotFoundException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "RepositoryNotFoundException"}, "gone"},
		{"ValidationException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "ValidationException"}, "failed"},
		{"InvalidParameterException", ecrtest.Fault{Status: http.StatusBadRequest, Code: "InvalidParameterException"}, "failed"},
	} {
		for _, service := range services {
			t.Run(service.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, limiter := start(t), awsapi.NewLimiter(20)
					server.Fail(ecrtest.Match{Operation: service.operation}, 3, c.fault)
					err := service.call(t.Context(), server, limiter)
					calls, throttled := limiter.TakeCalls()
					want, wantThrottled := 4, map[string]int{}
					switch c.outcome {
					case "throttled":
						wantThrottled[service.operation] = 3
					case "denied", "refused", "gone", "failed":
						want = 1
					}
					if calls[service.operation] != want || !cmp.Equal(throttled, wantThrottled) {
						t.Errorf("calls %v, throttled %v, want %d calls and throttled %v", calls, throttled, want, wantThrottled)
					}
					if (err == nil) != (want == 4) || errors.Is(err, awsapi.ErrDenied) != (c.outcome == "denied") || errors.Is(err, awsapi.ErrGone) != (c.outcome == "gone") || errors.Is(err, awsapi.ErrCredentials) != (c.outcome == "refused") {
						t.Errorf("error %v, want %s", err, c.outcome)
					}
				})
			})
		}
	}
}

// A call that keeps failing ends by the deadline, and its error has the last response.
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
						t.Errorf("error %v, want one with %q", err, c.text)
					}
				})
			})
		}
	}
}

// A call that could start only after the deadline fails at once.
func TestNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newECR(start(t), awsapi.NewLimiter(0.1))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := client.Images(ctx, "app", "")
		check(t, err)
		begun := time.Now()
		if _, _, err = client.Images(ctx, "app", ""); !errors.Is(err, awsapi.ErrNoTime) || time.Since(begun) != 0 {
			t.Errorf("error %v after %v, want ErrNoTime at once", err, time.Since(begun))
		}
		if !strings.Contains(fmt.Sprint(err), "0.1 a second") {
			t.Errorf("the error does not name the rate: %v", err)
		}
	})
}

// After the last attempt the error is the API's.
func TestAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, limiter := start(t), awsapi.NewLimiter(20)
		server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		_, _, err := newECR(server, limiter).Images(t.Context(), "app", "")
		if calls, _ := limiter.TakeCalls(); calls["DescribeImages"] != 8 {
			t.Errorf("%v calls, want 8", calls)
		}
		if err == nil || !strings.Contains(err.Error(), "ServerException") {
			t.Errorf("error %v", err)
		}
	})
}

// perTwentySeconds returns how many calls succeed within twenty seconds.
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

// images returns a call of DescribeImages.
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

// Each operation given to SetRate has that rate for itself.
func TestSetRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, limiter := start(t), awsapi.NewLimiter(10)
		limiter.SetRate(2, "DescribeImageScanFindings", "ListCoverage")
		client, lists := newECR(server, limiter), inspector.New(config(server), limiter)
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

// A throttled operation slows down, others do not, and it recovers once the throttling ends.
func TestRateAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, limiter := start(t), awsapi.NewLimiter(40)
		client := newECR(server, limiter)
		server.SetRate("DescribeImages", 10, 1)
		made := perTwentySeconds(t, images(client))
		calls, throttled := limiter.TakeCalls()
		if made < 100 || throttled["DescribeImages"] == 0 || throttled["DescribeImages"] > calls["DescribeImages"]/4 {
			t.Errorf("at a limit of 10 a second: %d successes, calls %v, throttled %v; want most of 200 and few throttles", made, calls, throttled)
		}
		if made = perTwentySeconds(t, func(ctx context.Context) error {
			_, err := client.Repositories(ctx)
			return err
		}); made < 800 {
			t.Errorf("%d successes of an operation that is not throttled, want 40 a second", made)
		}
		server.SetRate("DescribeImages", 0, 0)
		if made = perTwentySeconds(t, images(client)); made < 400 {
			t.Errorf("%d successes in the 20 s after the limit was lifted, want most of 800", made)
		}
	})
}

// An operation that is always throttled keeps a share of its rate, and recovers from it.
func TestRateKeepsAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, limiter := start(t), awsapi.NewLimiter(32)
		client := newECR(server, limiter)
		server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultThrottling)
		for range 10 { // eight attempts each
			if err := images(client)(t.Context()); err == nil {
				t.Fatal("no error")
			}
		}
		server.ClearFaults()
		// From one attempt a second, and each second about one more.
		if made := perTwentySeconds(t, images(client)); made < 150 {
			t.Errorf("%d successes in the 20 s after the limit was lifted", made)
		}
	})
}

// TakeCalls resets the counts.
func TestTakeCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, limiter := start(t), awsapi.NewLimiter(20)
		server.Fail(ecrtest.Match{}, 1, ecrtest.FaultThrottling)
		check(t, images(newECR(server, limiter))(t.Context()))
		calls, throttled := limiter.TakeCalls()
		if !cmp.Equal(calls, map[string]int{"DescribeImages": 2}) || !cmp.Equal(throttled, map[string]int{"DescribeImages": 1}) {
			t.Errorf("calls %v, throttled %v", calls, throttled)
		}
		if calls, throttled = limiter.TakeCalls(); len(calls)+len(throttled) != 0 {
			t.Errorf("taken twice: calls %v, throttled %v", calls, throttled)
		}
	})
}
