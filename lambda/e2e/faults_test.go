package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// faultyInvocation is the timeout of an invocation whose push fails, long enough for a busy
// machine. The push gets half of it, as of all short timeouts.
const faultyInvocation = 10 * time.Second

// faultySettings give several batches and several attempts before the deadline.
var faultySettings = []string{scansFromSummary, "REMOTE_WRITE_MAX_SERIES=50", "REMOTE_WRITE_TIMEOUT=1s"}

// faultyRegistry has many repositories and enough series for several batches.
func faultyRegistry(t *testing.T) *ecrtest.Registry {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	for n := range 20 {
		addRepository(t, registry, fmt.Sprintf("team/service-%02d", n), 9)
	}
	return registry
}

// TestFaults injects every fault between the function and the receiver. Each invocation
// ends by its deadline, its summary agrees with what the receiver has, and the next one
// sends what is missing.
func TestFaults(t *testing.T) {
	t.Parallel()
	registry := faultyRegistry(t)
	var running sync.WaitGroup
	for fault, protocol := range map[remotewritetest.Fault]string{
		remotewritetest.ResetInBody:        "1.0",
		remotewritetest.AnswerLost:         "2.0",
		remotewritetest.SlowHeaders:        "1.0",
		remotewritetest.SlowBody:           "2.0",
		remotewritetest.Silence:            "1.0",
		remotewritetest.Garbage:            "auto",
		remotewritetest.EndlessError:       "1.0",
		remotewritetest.GzipBomb:           "2.0",
		remotewritetest.Redirect308:        "1.0",
		remotewritetest.InformationalStorm: "auto",
		remotewritetest.HugeHeaders:        "2.0",
	} {
		// All at the same time, because they mostly wait.
		running.Go(func() {
			t.Run(string(fault), func(t *testing.T) {
				to := remotewritetest.NewServer(t, remotewritetest.Options{})
				line := remotewritetest.NewProxy(t, to.URL)
				line.Break(fault, remotewritetest.Always)
				settings, within := append(slices.Clone(faultySettings), "REMOTE_WRITE_PROTOCOL="+protocol), faultyInvocation
				if status := fault.Status(); status != 0 && status < http.StatusInternalServerError {
					// The final response has to arrive, however busy the machine is.
					settings, within = append(settings, "REMOTE_WRITE_TIMEOUT=15s"), 40*time.Second
				}
				f := startFunction(t, ecrtest.Start(t, registry), line.URL.String(), settings...)
				s, failure := f.try(t, "schedule-rule.json", within)
				checkTruthful(t, s, failure != nil, to, fault)
				line.Mend()
				checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, wantSeries(registry))
			})
		})
	}
	running.Wait()
}

// notConnected is in place of a fault where there is no connection at all.
const notConnected remotewritetest.Fault = ""

// checkTruthful checks the counts in the summary of a run, all of whose requests met a
// fault.
func checkTruthful(t *testing.T, s summary, failed bool, to *remotewritetest.Server, fault remotewritetest.Fault) {
	t.Helper()
	want := summary{Series: s.Series}
	status, delivers := 0, false
	if fault != notConnected {
		status, delivers = fault.Status(), fault.Delivers()
	}
	switch {
	case status/100 == 2:
		want.Accepted = s.Series
	case status == http.StatusBadRequest:
		want.Unconfirmed = s.Series
	case status/100 == 3:
		want.Refused = s.Series
	case fault == notConnected:
		want.NotSent = s.Series
	default:
		// What the deadline left without an attempt was not sent; the rest went out.
		want.Unconfirmed, want.NotSent = s.Unconfirmed, s.Series-s.Unconfirmed
		if s.Unconfirmed == 0 {
			t.Error("no series is unconfirmed")
		}
	}
	if s.Accepted != want.Accepted || s.Refused != want.Refused || s.Unconfirmed != want.Unconfirmed || s.NotSent != want.NotSent {
		t.Errorf("of %d series the summary counts %d accepted, %d refused, %d unconfirmed, %d not sent; want %d, %d, %d, %d",
			s.Series, s.Accepted, s.Refused, s.Unconfirmed, s.NotSent, want.Accepted, want.Refused, want.Unconfirmed, want.NotSent)
	}
	stored := len(ofRegistry(to))
	if onlyAnswer := delivers && want.Accepted == 0; onlyAnswer && stored == 0 || !onlyAnswer && stored != s.Accepted {
		t.Errorf("the receiver has %d series, the summary reports %d", stored, s.Accepted)
	}
	if lost := s.Accepted < s.Series; s.Series == 0 || failed != lost || (s.Errors["push"] != "") != lost {
		t.Errorf("failed: %v, errors %v; lost series: %v, of %d", failed, s.Errors, lost, s.Series)
	}
}

// checkRestored checks that the receiver has every series of a run.
func checkRestored(t *testing.T, s summary, to *remotewritetest.Server, want tsdbtest.Vector) {
	t.Helper()
	got := tsdbtest.Vector{}
	for key, last := range ofRegistry(to) {
		if last.Timestamp == s.Timestamp.UnixMilli() {
			got[key] = last.Value
		}
	}
	checkCounts(t, s, got, nil)
	checkVector(t, "series of the next run", want, onlyCompared(got))
}

// ofRegistry are the last samples of a receiver's series, run metrics excluded.
func ofRegistry(to *remotewritetest.Server) map[string]remotewritetest.Sample {
	all := map[string]remotewritetest.Sample{}
	for _, series := range to.All() {
		var pairs []string
		for name, value := range series.Labels {
			if name != "__name__" {
				pairs = append(pairs, name, value)
			}
		}
		if key := tsdbtest.KeyOf(series.Labels["__name__"], pairs...); isCounted(key) {
			all[key] = series.Last()
		}
	}
	return all
}

// TestRefusedConnection covers a receiver that does not listen during the first invocation.
func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	registry := faultyRegistry(t)
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	at, listen := remotewritetest.NewRefused(t, to.URL)
	f := startFunction(t, ecrtest.Start(t, registry), at.String(), append(faultySettings, "REMOTE_WRITE_PROTOCOL=auto")...)
	s, failure := f.try(t, "schedule-rule.json", faultyInvocation)
	checkTruthful(t, s, failure != nil, to, notConnected)
	listen()
	checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, wantSeries(registry))
}

// TestTLSToPlainPort covers a receiver without TLS.
func TestTLSToPlainPort(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	at := url.URL{Scheme: "https", Host: to.URL.Host, Path: to.URL.Path}
	f := startFunction(t, ecrtest.Start(t, faultyRegistry(t)), at.String(), faultySettings...)
	s, failure := f.try(t, "schedule-rule.json", faultyInvocation)
	checkTruthful(t, s, failure != nil, to, notConnected)
}

// TestPartialPushes checks that a receiver which takes only a part of each push gets
// every series after some runs: no run begins with what the last one sent.
func TestPartialPushes(t *testing.T) {
	t.Parallel()
	registry := faultyRegistry(t)
	want := wantSeries(registry)
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	line := remotewritetest.NewProxy(t, to.URL)
	f := startFunction(t, ecrtest.Start(t, registry), line.URL.String(),
		append(faultySettings, "REMOTE_WRITE_PROTOCOL=1.0", "REMOTE_WRITE_CONCURRENCY=1")...)
	whole := f.invoke(t, "schedule-rule.json", invocationTimeout)
	checkRestored(t, whole, to, want)

	const most = 20
	batches := whole.Batches / 2 // that arrive in each run
	arrived := map[string]bool{}
	missing := func() int {
		n := 0
		for key := range want {
			if !arrived[key] {
				n++
			}
		}
		return n
	}
	runs := 0
	for ; missing() > 0; runs++ {
		if runs == most {
			t.Fatalf("%d of %d series did not arrive in %d runs", missing(), len(want), runs)
		}
		line.Break(remotewritetest.Silence, remotewritetest.After(batches))
		s, failure := f.try(t, "schedule-rule.json", faultyInvocation)
		if failure == nil || s.Accepted > batches*50 || s.Unconfirmed == 0 || s.Unconfirmed+s.NotSent != s.Series-s.Accepted {
			t.Fatalf("run %d: failure %v, %d of %d series accepted, %d unconfirmed, %d not sent", runs, failure, s.Accepted, s.Series, s.Unconfirmed, s.NotSent)
		}
		for key, last := range ofRegistry(to) {
			if last.Timestamp == s.Timestamp.UnixMilli() {
				arrived[key] = true
			}
		}
	}
	if runs < 2 {
		t.Errorf("all series arrived in %d runs: the pushes were not partial", runs)
	}
}
