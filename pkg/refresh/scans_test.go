package refresh_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

const (
	findings     = "DescribeImageScanFindings"
	coverage     = "ListCoverage"
	aggregations = "ListFindingAggregations"
)

// clientFunc is an HTTP client.
type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// scanning makes the refresher read scans, ten a second.
func (w *world) scanning(source refresh.ScanSource, change ...func(*refresh.ScanOptions)) {
	config := aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(w.server.URL()), HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}
	limiter := awsapi.NewLimiter(1000)
	limiter.SetRate(10, append([]string{ecr.ScanOperation}, inspector.Operations...)...)
	options := refresh.ScanOptions{
		Source: source, Inspector: inspector.New(config, limiter),
		Basic: 24 * time.Hour, Enhanced: 6 * time.Hour, PerSecond: 10, Indexes: true,
	}
	for _, f := range change {
		f(&options)
	}
	if w.atOnce == 0 {
		w.atOnce = 4
	}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.refresher = refresh.New(ecr.New(config, ecr.Options{Limiter: limiter}), w.selecting(refresh.Options{
		Interval: interval, Concurrency: w.atOnce, Logger: log, Scans: options, Untagged: w.selection != nil, Keeps: w.keeps,
	}))
}

func (w *world) enhanced() { w.check(w.registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED"})) }

func (w *world) scan(repository, tag string, states ...ecrtest.ScanState) {
	w.Helper()
	w.check(w.registry.SetScan(repository, ecrtest.Digest(repository+tag), ecrtest.Scan{States: states}))
}

// done is a completed scan; counts alternates severities and numbers.
func done(at time.Time, counts ...any) ecrtest.ScanState {
	state := ecrtest.ScanState{At: at, CompletedAt: at, Counts: map[string]int32{}}
	for i := 0; i < len(counts); i += 2 {
		state.Counts[counts[i].(string)] = int32(counts[i+1].(int))
	}
	return state
}

// knownScan is an image's scan in the inventory as text: status and counts, and … if it is
// not final.
func (w *world) knownScan(repository, tag string) string {
	w.Helper()
	digest, err := inventory.ParseDigest(ecrtest.Digest(repository + tag))
	w.check(err)
	image := w.known.Find(repository).FindImage(digest)
	if image == nil {
		return "no image"
	}
	if image.Scan == nil {
		return "unknown"
	}
	words := []string{image.Scan.Status.String()}
	for _, s := range image.Scan.Severities.List() {
		words = append(words, fmt.Sprint(s.Severity, "=", s.Count))
	}
	if !image.Scan.Final() {
		words = append(words, "…")
	}
	return strings.Join(words, " ")
}

func (w *world) wantScan(repository, tag, want string) {
	w.Helper()
	if got := w.knownScan(repository, tag); got != want {
		w.Errorf("%s:%s is %q, want %q", repository, tag, got, want)
	}
}

// calls returns the number of calls of an operation since the last call of calls.
func (w *world) calls(operation string) int {
	n := w.server.Calls()[operation]
	w.server.ResetObserved()
	return n
}

func TestBasicScans(t *testing.T) {
	t.Parallel()
	bubble(t, "read once, and again after a day", func(t *testing.T) {
		w := newWorld(t, 1, 5)
		before := time.Now().Add(-time.Hour)
		w.scan("repo-0", "v0", done(before, "CRITICAL", 1, "UNTRIAGED", 2))
		w.scan("repo-0", "v1", done(before))
		w.scan("repo-0", "v2", ecrtest.ScanState{At: before, Status: "UNSUPPORTED_IMAGE"})
		w.scan("repo-0", "v3", ecrtest.ScanState{At: before, Status: "FAILED"})
		w.scanning(refresh.ScanAuto)
		result := w.run(0)
		if diff := cmp.Diff(refresh.ScanResult{Due: 5, Answered: 5}, result.Scans); diff != "" || result.Err != nil {
			t.Errorf("result (-want +got):\n%s%v", diff, result.Err)
		}
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=1 UNTRIAGED=2")
		w.wantScan("repo-0", "v1", "COMPLETE")
		w.wantScan("repo-0", "v2", "UNSUPPORTED_IMAGE")
		w.wantScan("repo-0", "v3", "FAILED")
		w.wantScan("repo-0", "v4", inventory.ScanNotFound.String())
		if w.known.ScanSource != inventory.ScansFromFindings || w.known.ScansPending != 0 || w.known.ScansOldest.Time().IsZero() {
			t.Errorf("source %s, %d pending, oldest %v", w.known.ScanSource, w.known.ScansPending, w.known.ScansOldest)
		}
		w.calls(findings)
		for range 47 { // half an hour each
			time.Sleep(interval)
			w.run(time.Minute)
		}
		if n := w.calls(findings); n != 0 {
			t.Errorf("%d calls within a day of a final result", n)
		}
		w.check(w.registry.Rescan("repo-0", ecrtest.Digest("repo-0v0"), done(time.Now(), "HIGH", 3)))
		time.Sleep(interval)
		w.run(time.Minute)
		if n := w.calls(findings); n != 5 {
			t.Errorf("%d calls after a day, want 5", n)
		}
		w.wantScan("repo-0", "v0", "COMPLETE HIGH=3")
	})
	bubble(t, "unfinished: read again after 1, 2, 4 minutes, keeping the previous result", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		now := time.Now()
		w.scan("repo-0", "v0",
			done(now.Add(-time.Hour), "LOW", 1),
			ecrtest.ScanState{At: now.Add(25 * time.Hour), Status: "IN_PROGRESS"},
			ecrtest.ScanState{At: now.Add(25*time.Hour + 5*time.Minute), Status: "COMPLETE"}, // without counts yet
			done(now.Add(25*time.Hour+6*time.Minute), "HIGH", 2))
		w.scanning(refresh.ScanFindings)
		w.run(0)
		time.Sleep(25*time.Hour + time.Second)
		var requested []int
		for minute := range 16 {
			w.run(0)
			if w.calls(findings) > 0 {
				requested = append(requested, minute)
				if len(requested) < 4 {
					w.wantScan("repo-0", "v0", "IN_PROGRESS LOW=1 …")
				}
			}
			time.Sleep(time.Minute)
		}
		if diff := cmp.Diff([]int{0, 1, 3, 7}, requested); diff != "" {
			t.Errorf("requested in minutes (-want +got):\n%s", diff)
		}
		w.wantScan("repo-0", "v0", "COMPLETE HIGH=2")
	})
	bubble(t, "a result without findings right after the scan is not final", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		now := time.Now()
		early, late := done(now), done(now.Add(5*time.Second), "CRITICAL", 9)
		late.CompletedAt = now
		w.scan("repo-0", "v0", early, late)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		w.wantScan("repo-0", "v0", "COMPLETE …")
		time.Sleep(time.Minute)
		w.run(0)
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=9")
	})
	bubble(t, "never read ones first, the newest push first, then the oldest result", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		for i := range 6 {
			w.put("repo-0", fmt.Sprint("v", i))
			time.Sleep(time.Second)
		}
		w.server.SetLatency(findings, 50*time.Millisecond, 0)
		w.atOnce = 1
		w.scanning(refresh.ScanFindings)
		w.run(0)
		ages := func() (tags []string) {
			repository := w.known.Find("repo-0")
			images := slices.Clone(repository.Images)
			slices.SortStableFunc(images, func(a, b inventory.Image) int { return int(a.Scan.AskedAt - b.Scan.AskedAt) })
			for _, image := range images {
				tags = append(tags, image.Tags...)
			}
			return tags
		}
		if diff := cmp.Diff([]string{"v5", "v4", "v3", "v2", "v1", "v0"}, ages()); diff != "" {
			t.Errorf("first order (-want +got):\n%s", diff)
		}
		time.Sleep(23*time.Hour + 30*time.Minute)
		w.put("repo-0", "late")
		time.Sleep(time.Second)
		w.put("repo-0", "later")
		time.Sleep(time.Hour)
		w.run(0)
		if diff := cmp.Diff([]string{"later", "late", "v5", "v4", "v3", "v2", "v1", "v0"}, ages()); diff != "" {
			t.Errorf("second order (-want +got):\n%s", diff)
		}
	})
	bubble(t, "one digest in two repositories is read in each", func(t *testing.T) {
		w := newWorld(t, 2, 0)
		for _, name := range []string{"repo-0", "repo-1"} {
			w.check(w.registry.PutImage(name, ecrtest.Image{Digest: ecrtest.Digest("same"), Tags: []string{"a", "b"}}))
		}
		w.scanning(refresh.ScanFindings)
		w.run(0)
		if n := w.calls(findings); n != 2 {
			t.Errorf("%d calls, want one for each repository, not for each tag", n)
		}
	})
	bubble(t, "the newest N of each repository, tagged and active", func(t *testing.T) {
		w := newWorld(t, 2, 0)
		for i := range 10 {
			w.put("repo-0", fmt.Sprint("v", i))
			time.Sleep(time.Second)
		}
		w.put("repo-1", "only")
		w.check(w.registry.PutImage("repo-1", ecrtest.Image{Digest: ecrtest.Digest("untagged")}))
		w.check(w.registry.PutImage("repo-1", ecrtest.Image{Digest: ecrtest.Digest("archived"), Tags: []string{"x"}, Status: "ARCHIVED"}))
		w.scanning(refresh.ScanFindings, func(o *refresh.ScanOptions) { o.Newest = 3 })
		result := w.run(0)
		if result.Scans.Answered != 4 || w.known.ScansPending != 0 {
			t.Errorf("%+v, %d pending", result.Scans, w.known.ScansPending)
		}
		w.wantScan("repo-0", "v9", inventory.ScanNotFound.String())
		w.wantScan("repo-0", "v6", "unknown")
	})
	bubble(t, "more than fits into a run: all are read in as many runs as the rate limit needs", func(t *testing.T) {
		w := newWorld(t, 10, 200)
		w.scanning(refresh.ScanFindings)
		const budget = 30 * time.Second
		// Listing takes almost no time. The rest makes ten calls a second, and a second's
		// worth at once.
		runs := 0
		for w.known.ListedAt.IsZero() || w.known.ScansPending > 0 {
			result := w.run(budget)
			if runs++; runs > 10 {
				t.Fatalf("after %d runs %d are pending", runs, w.known.ScansPending)
			}
			if result.Scans.Left != w.known.ScansPending {
				t.Errorf("%d left, %d pending", result.Scans.Left, w.known.ScansPending)
			}
			time.Sleep(2*time.Minute - budget)
		}
		if want := 7; runs != want { // 2000 ÷ (30 s × 10 + 10)
			t.Errorf("%d runs, want %d", runs, want)
		}
		// The end of a run can interrupt a call.
		if n := w.calls(findings); n < 2000 || n > 2000+runs {
			t.Errorf("%d calls for 2000 images", n)
		}
	})
	bubble(t, "listing leaves half of the time to scans", func(t *testing.T) {
		w := newWorld(t, 100, 5)
		w.server.SetLatency("DescribeImages", 2*time.Second, 0)
		w.scanning(refresh.ScanFindings)
		result := w.run(20 * time.Second)
		// Ten seconds of listings, two seconds each, by four workers; then the scans of the
		// images listed are requested.
		if result.Left == 0 || result.Refreshed < 12 || result.Refreshed > 20 || result.Scans.Answered != 5*result.Refreshed {
			t.Errorf("%+v", result)
		}
	})
}

func TestScanFaults(t *testing.T) {
	t.Parallel()
	policy := func(w *world, denied string) {
		p, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny",` + denied + `}]}`))
		w.check(err)
		w.server.SetPolicy(p)
	}
	bubble(t, "findings are denied: the summary is used, with a warning", func(t *testing.T) {
		w := newWorld(t, 3, 5)
		policy(w, `"Action":"ecr:DescribeImageScanFindings","Resource":"*"`)
		w.scanning(refresh.ScanAuto)
		for range 3 {
			result := w.run(time.Minute)
			if result.Err != nil || w.known.ScanSource != inventory.ScansFromSummary {
				t.Errorf("error %v, source %s", result.Err, w.known.ScanSource)
			}
			time.Sleep(interval)
		}
		if n := strings.Count(w.log.String(), "missing permission: using scan source summary instead of findings"); n != 3 {
			t.Errorf("%d warnings, want one each time the source is decided:\n%s", n, &w.log)
		}
		// Each refresh tries again, with about as many calls as the concurrency for each repository.
		if n := w.calls(findings); n > 3*3*4 {
			t.Errorf("%d calls", n)
		}
	})
	bubble(t, "one repository is denied: the others are read", func(t *testing.T) {
		w := newWorld(t, 3, 5)
		policy(w, `"Action":"ecr:DescribeImageScanFindings","Resource":"`+w.registry.ARN("repo-1")+`"`)
		w.scanning(refresh.ScanAuto)
		w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "LOW", 1))
		w.check(w.registry.Tag("repo-0", ecrtest.Digest("repo-0v0"), "zz"))
		result := w.run(0)
		// The requests that were made at once are denied, the others are not made.
		if result.Scans.Answered != 10 || result.Scans.Failed == 0 || result.Scans.Failed > 4 || result.Scans.Left != 0 ||
			strings.Count(result.Err.Error(), "permission denied") != 1 {
			t.Errorf("%+v, error %v", result.Scans, result.Err)
		}
		w.calls(findings)
		if result = w.run(0); w.calls(findings) != 0 || result.Scans.Due != 0 {
			t.Errorf("retried immediately: %+v", result.Scans)
		}
		// A refresh later one request is made, and the others once it succeeds.
		time.Sleep(interval)
		if result = w.run(0); w.calls(findings) != 1 || result.Scans.Failed != 1 || result.Err == nil {
			t.Errorf("%+v, error %v", result.Scans, result.Err)
		}
		w.server.SetPolicy(nil)
		time.Sleep(interval)
		if result = w.run(0); w.calls(findings) != 1 || result.Scans.Answered != 1 {
			t.Errorf("after the permission was given: %+v", result.Scans)
		}
		if result = w.run(0); w.calls(findings) != 4 || result.Scans.Answered != 4 || w.known.ScansPending != 0 {
			t.Errorf("after a request succeeded: %+v", result.Scans)
		}
	})
	bubble(t, "one denied request delays no other image's by more than a refresh", func(t *testing.T) {
		w := newWorld(t, 1, 5)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		time.Sleep(25 * time.Hour)
		w.server.Fail(ecrtest.Match{Operation: findings}, 1, ecrtest.Fault{Status: 400, Code: "AccessDeniedException"})
		w.run(0)
		time.Sleep(interval)
		w.run(0)
		w.run(0)
		if age := time.Since(w.known.ScansOldest.Time()); age > interval {
			t.Errorf("the oldest scan was read %v ago", age)
		}
	})
	bubble(t, "errors are returned and delay an image's next request", func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.scanning(refresh.ScanFindings)
		w.server.Fail(ecrtest.Match{Operation: findings}, 16, ecrtest.FaultServer)
		result := w.run(0)
		if result.Scans.Failed != 2 || result.Err == nil || w.known.ScansPending != 2 {
			t.Errorf("%+v, error %v, %d pending", result.Scans, result.Err, w.known.ScansPending)
		}
		time.Sleep(10 * time.Minute)
		if result = w.run(0); result.Scans.Answered != 2 || result.Err != nil {
			t.Errorf("%+v, error %v", result.Scans, result.Err)
		}
	})
	bubble(t, "throttled: slower, but complete", func(t *testing.T) {
		w := newWorld(t, 1, 60)
		w.scanning(refresh.ScanFindings)
		w.server.SetRate(findings, 4, 1)
		result := w.run(0)
		if result.Scans.Answered != 60 || result.Err != nil {
			t.Errorf("%+v, error %v", result.Scans, result.Err)
		}
	})
	bubble(t, "the scanning configuration is denied: findings", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		policy(w, `"Action":"ecr:GetRegistryScanningConfiguration","Resource":"*"`)
		w.scanning(refresh.ScanAuto)
		if result := w.run(0); result.Err != nil || w.known.ScanSource != inventory.ScansFromFindings || result.Scans.Answered != 1 {
			t.Errorf("%+v, source %s", result, w.known.ScanSource)
		}
	})
	bubble(t, "Inspector is denied: findings", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.enhanced()
		policy(w, `"Action":["inspector2:ListCoverage","inspector2:ListFindingAggregations"],"Resource":"*"`)
		w.scanning(refresh.ScanAuto)
		if result := w.run(0); result.Err != nil || w.known.ScanSource != inventory.ScansFromFindings || result.Scans.Answered != 1 {
			t.Errorf("%+v, source %s", result, w.known.ScanSource)
		}
		if n := strings.Count(w.log.String(), "missing permission: using scan source findings instead of inspector"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, &w.log)
		}
	})
	bubble(t, "Inspector is not in the Region: findings, and one attempt a refresh", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		asked := 0
		w.scanning(refresh.ScanInspector, func(o *refresh.ScanOptions) {
			o.Inspector = inspector.New(aws.Config{
				Region: "ap-southeast-6", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
				HTTPClient: clientFunc(func(r *http.Request) (*http.Response, error) {
					asked++
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
				}),
			}, awsapi.NewLimiter(10))
		})
		for range 2 {
			if result := w.run(0); result.Err != nil || w.known.ScanSource != inventory.ScansFromFindings || w.known.ScansPending != 0 {
				t.Errorf("%+v, source %s", result, w.known.ScanSource)
			}
		}
		if n := strings.Count(w.log.String(), "no endpoint in this Region: using scan source findings instead of inspector"); n != 1 || asked != 1 {
			t.Errorf("%d warnings, %d attempts:\n%s", n, asked, &w.log)
		}
	})
	for _, source := range []refresh.ScanSource{refresh.ScanNone, refresh.ScanSummary} {
		bubble(t, "no requests: "+string(source), func(t *testing.T) {
			w := newWorld(t, 1, 3)
			w.scanning(source)
			result := w.run(time.Minute)
			if result.Err != nil || w.calls(findings) != 0 || w.known.ScansPending != 0 || w.known.ScanSource != string(source) {
				t.Errorf("%+v, %s, %d pending", result, w.known.ScanSource, w.known.ScansPending)
			}
		})
	}
	bubble(t, "a summary in the listing needs no request", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{
			Digest: ecrtest.Digest("repo-0v0"), Tags: []string{"v0"}, Scan: &ecrtest.ScanSummary{CompletedAt: time.Now(), Counts: map[string]int32{"LOW": 4}},
		}))
		w.scanning(refresh.ScanAuto)
		w.run(0)
		if n := w.calls(findings); n != 0 {
			t.Errorf("%d calls", n)
		}
		w.wantScan("repo-0", "v0", " LOW=4")
	})
}

func TestEnhancedScans(t *testing.T) {
	t.Parallel()
	bubble(t, "Inspector's lists, and findings where counts are missing in them", func(t *testing.T) {
		w := newWorld(t, 4, 150)
		w.enhanced()
		w.server.OmitLowCounts()
		before := time.Now().Add(-time.Hour)
		for r := range 4 {
			for i := range 150 {
				state := done(before, "CRITICAL", 1, "HIGH", i%3)
				if i%3 == 0 {
					delete(state.Counts, "HIGH")
				}
				if i < 10 {
					state.Counts["LOW"] = 5
				}
				w.scan(fmt.Sprint("repo-", r), fmt.Sprint("v", i), state)
			}
		}
		w.scanning(refresh.ScanAuto)
		result := w.run(0)
		if result.Err != nil || !result.Scans.Listed || w.known.ScanSource != inventory.ScansFromInspector || w.known.ScansPending != 0 {
			t.Fatalf("%+v, source %s, %d pending", result, w.known.ScanSource, w.known.ScansPending)
		}
		calls := w.server.Calls()
		if calls[coverage] != 3 || calls[aggregations] != 6 || calls[findings] != 40 {
			t.Errorf("calls %v, want 600÷200, 600÷100, and 40 images with LOW", calls)
		}
		w.wantScan("repo-0", "v0", "ACTIVE CRITICAL=1 LOW=5")
		w.wantScan("repo-3", "v11", "ACTIVE CRITICAL=1 HIGH=2")

		// After six hours the lists are read again; only what changed is requested.
		w.check(w.registry.Rescan("repo-1", ecrtest.Digest("repo-1v3"), done(time.Now(), "CRITICAL", 1, "LOW", 7)))
		w.check(w.registry.Rescan("repo-1", ecrtest.Digest("repo-1v20"), done(time.Now(), "MEDIUM", 2)))
		w.server.ResetObserved()
		time.Sleep(6 * time.Hour)
		w.run(0)
		if calls = w.server.Calls(); calls[coverage] != 3 || calls[aggregations] != 6 || calls[findings] != 1 {
			t.Errorf("calls %v, want the lists and one image", calls)
		}
		w.wantScan("repo-1", "v3", "ACTIVE CRITICAL=1 LOW=7")
		w.wantScan("repo-1", "v20", "ACTIVE MEDIUM=2")
	})
	bubble(t, "without findings, never scanned, pending, pushed after the lists were read", func(t *testing.T) {
		w := newWorld(t, 1, 3)
		w.enhanced()
		now := time.Now()
		w.scan("repo-0", "v0", done(now.Add(-time.Hour)))
		w.scan("repo-0", "v2", ecrtest.ScanState{At: now.Add(-time.Minute), Status: "PENDING"}, done(now.Add(90*time.Second), "HIGH", 1))
		w.scanning(refresh.ScanAuto)
		w.run(0)
		w.wantScan("repo-0", "v0", "ACTIVE")
		w.wantScan("repo-0", "v1", inventory.ScanNotFound.String())
		w.wantScan("repo-0", "v2", "PENDING …")
		time.Sleep(3 * time.Minute)
		w.run(0)
		w.wantScan("repo-0", "v2", "ACTIVE HIGH=1")
		w.put("repo-0", "new")
		w.scan("repo-0", "new", done(time.Now(), "LOW", 1))
		w.calls(findings)
		time.Sleep(interval)
		w.run(0)
		w.wantScan("repo-0", "new", "ACTIVE LOW=1")
		if n := w.calls(findings); n != 1 {
			t.Errorf("%d calls for one new image", n)
		}
	})
	bubble(t, "lists that take more than one run", func(t *testing.T) {
		w := newWorld(t, 1, 900)
		w.enhanced()
		for i := range 900 {
			w.scan("repo-0", fmt.Sprint("v", i), done(time.Now(), "CRITICAL", 1))
		}
		w.server.SetLatency(coverage, 2*time.Second, 0)
		w.scanning(refresh.ScanAuto)
		listed := 0
		for range 3 {
			ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
			if w.refresher.Run(ctx, w.known, time.Now()).Scans.Listed {
				listed++
			}
			cancel()
			time.Sleep(time.Minute)
		}
		if listed != 1 || w.known.ScansPending != 0 {
			t.Errorf("listed %d times, %d pending", listed, w.known.ScansPending)
		}
		if n := w.server.Calls()[findings]; n != 0 {
			t.Errorf("%d calls for findings that are in the lists", n)
		}
	})
}
