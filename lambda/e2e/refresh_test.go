package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// describeImages selects the calls that list a repository's images.
var describeImages = ecrtest.Match{Operation: "DescribeImages"}

// TestResume covers a registry that takes several invocations to list: each continues
// where the last one stopped, also in the middle of a repository, and pushes what is
// known by then. The refresh is limited by its budget and not by the deadline, which on a
// busy machine could cut off the push.
func TestResume(t *testing.T) {
	t.Parallel()
	const (
		perPage       = 20
		perInvocation = 12 // pages before ECR becomes slow
	)
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, "data/large", 20*perPage)
	pages := 20
	for n := range 8 {
		addRepository(t, registry, fmt.Sprintf("web/small-%d", n), 2*perPage)
		pages += 2
	}
	want := wantSeries(registry)
	server := ecrtest.Start(t, registry)
	server.SetPageLimit(describeImages.Operation, perPage)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), scansFromSummary, "ECR_CONCURRENCY=2", "REFRESH_BUDGET=2s")

	var pagesSent atomic.Int64
	server.Before(describeImages, ecrtest.Always, func(ecrtest.Request) {
		if pagesSent.Add(1) > perInvocation {
			server.SetLatency(describeImages.Operation, time.Hour, 0)
		}
	})

	var last summary
	known, n := 0, 1
	for ; n == 1 || last.Left > 0; n++ {
		if n > pages {
			t.Fatalf("not done after %d invocations: %d repositories are left", n-1, last.Left)
		}
		pagesSent.Store(0)
		server.SetLatency(describeImages.Operation, 0, 0)
		s := f.invoke(t, "schedule-rule.json", invocationTimeout)
		if n > 1 && s.Due != last.Left {
			t.Errorf("invocation %d: %d repositories were due after %d were left", n, s.Due, last.Left)
		}
		if s.Refreshed+s.Left != s.Due {
			t.Errorf("invocation %d: %d refreshed and %d left, of %d due", n, s.Refreshed, s.Left, s.Due)
		}
		if s.Series < known || s.Accepted != s.Series {
			t.Errorf("invocation %d: %d series, %d accepted, after %d before", n, s.Series, s.Accepted, known)
		}
		last, known = s, s.Series
		t.Logf("invocation %d: %d of %d repositories left, %d series", n, s.Left, s.Due, s.Series)
	}
	if n--; n < pages/(perInvocation+1) {
		t.Errorf("%d invocations were enough for %d pages", n, pages)
	}
	checkPushed(t, prometheus, last, want)
	checkNoStepBack(t, server, pages)
}

// checkNoStepBack checks that ECR was asked for every page of images, and never for an
// earlier page again. A page may be requested several times in a row: if ECR was too slow,
// or if the SDK lost the response, which happens when it arrives before the request is
// sent completely.
func checkNoStepBack(t *testing.T, server *ecrtest.Server, pages int) {
	t.Helper()
	requested := map[string][]string{} // tokens by repository
	for _, r := range server.Requests() {
		if r.Operation != describeImages.Operation {
			continue
		}
		tokens := requested[r.RepositoryName]
		switch behind := slices.Index(tokens, r.NextToken); {
		case behind < 0:
			requested[r.RepositoryName] = append(tokens, r.NextToken)
			pages--
		case behind < len(tokens)-1:
			t.Errorf("%s: page %d was requested after page %d", r.RepositoryName, behind+1, len(tokens))
		}
	}
	if pages != 0 {
		t.Errorf("%d pages were not requested", pages)
	}
}

// TestDenied checks that a repository without permission to read it keeps its last known
// series, is reported, and does not affect others.
func TestDenied(t *testing.T) {
	t.Parallel()
	const denied, other = "payments/vault", "web/frontend"
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, denied, 3)
	addRepository(t, registry, other, 3)
	addRepository(t, registry, "web/unchanged", 2)
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), scansFromSummary, "CACHE_REFRESH_INTERVAL=1s")
	first := f.invoke(t, "schedule-rule.json", invocationTimeout)
	checkPushed(t, prometheus, first, wantSeries(registry))

	policy, err := ecrtest.ParsePolicy(fmt.Appendf(nil, `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"},
		{"Effect": "Deny", "Action": "ecr:DescribeImages", "Resource": %q}]}`, registry.ARN(denied)))
	if err != nil {
		t.Fatal(err)
	}
	server.SetPolicy(policy)
	addImage(t, registry, other, 3)
	want := wantSeries(registry)
	addImage(t, registry, denied, 3) // which is not visible
	waitUntilDue(first, time.Second)

	s, failure := f.try(t, "schedule-rule.json", invocationTimeout)
	checkPushed(t, prometheus, s, want)
	if s.Denied != 1 || s.Refreshed != 2 || s.Failed+s.Left != 0 {
		t.Errorf("%d denied, %d refreshed, %d failed, %d left; want 1, 2, 0, 0", s.Denied, s.Refreshed, s.Failed, s.Left)
	}
	if failure == nil || !strings.Contains(failure.Message, denied) {
		t.Errorf("the invocation failed with %v, want an error that names %s", failure, denied)
	}
	if !strings.Contains(s.Errors["refresh"], denied) {
		t.Errorf("the summary's errors %v do not name %s", s.Errors, denied)
	}
}

// TestOutage checks that data gets older and does not disappear while ECR returns only
// errors.
func TestOutage(t *testing.T) {
	t.Parallel()
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, "payments/api", 3)
	addRepository(t, registry, "web/frontend", 3)
	want := wantSeries(registry)
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), scansFromSummary, "CACHE_REFRESH_INTERVAL=1s", "REFRESH_BUDGET=5s")
	first := f.invoke(t, "schedule-rule.json", invocationTimeout)
	checkPushed(t, prometheus, first, want)

	server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultUnavailable)
	waitUntilDue(first, time.Second)
	s, failure := f.try(t, "schedule-rule.json", invocationTimeout)
	checkPushed(t, prometheus, s, want)
	if failure == nil || s.Errors["refresh"] == "" {
		t.Errorf("the outage was not reported: %v, %v", failure, s.Errors)
	}
}

// waitUntilDue waits until everything that a run read is due again.
func waitUntilDue(s summary, interval time.Duration) {
	time.Sleep(time.Until(s.Timestamp.Add(interval)))
}
