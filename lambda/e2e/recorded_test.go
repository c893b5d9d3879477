package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// asRecorded returns the response of a recording, with half of the series stored if the
// recorded receiver stores the series that it does not complain about.
func asRecorded(r remotewritetest.Recording) remotewritetest.Answer {
	if !r.Partial {
		return r.Answer
	}
	answer, n := r.Answer, 0
	answer.Refuse = func(remotewritetest.Series) string {
		if n++; n%2 == 0 {
			return "refused"
		}
		return ""
	}
	return answer
}

// ofReceivers are the recordings of AMP and of receivers with the same responses.
func ofReceivers(protocol string) []remotewritetest.Recording {
	var some []remotewritetest.Recording
	for _, r := range remotewritetest.Recordings() {
		receiver, occasion, _ := strings.Cut(r.Name, ": ")
		of2 := strings.HasPrefix(occasion, "2.0")
		switch receiver {
		case "cortex", "mimir", "thanos", "amp":
			// A Retry-After would only delay the test.
			if of2 == (protocol == "2.0") && r.Header.Get("Retry-After") == "" {
				some = append(some, r)
			}
		}
	}
	return some
}

// TestRecordedAnswers plays the responses of real receivers to Remote-Write 1.0. 403 is a
// refusal; after another final one it is not known what was stored. Its text is in the log
// unchanged, once a run at most; after others the function tries again.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, "team/service", 20)
	want := wantSeries(registry)
	f := startFunction(t, ecrtest.Start(t, registry), to.URL.String(), scansFromSummary, "REMOTE_WRITE_PROTOCOL=1.0")
	checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, want)

	recordings := ofReceivers("1.0")
	// A batch that is too large makes all that follow smaller, so this is the last case.
	slices.SortStableFunc(recordings, func(a, b remotewritetest.Recording) int {
		last := func(r remotewritetest.Recording) int {
			return map[bool]int{true: 1}[r.Status == http.StatusRequestEntityTooLarge]
		}
		return last(a) - last(b)
	})
	seen := map[string]int{}
	for _, r := range recordings {
		receiver, _, _ := strings.Cut(r.Name, ":")
		seen[receiver]++
		t.Run(r.Name, func(t *testing.T) {
			// A retry or a split batch arrives.
			if r.Status == http.StatusTooManyRequests || r.Status/100 == 5 || r.Status == http.StatusRequestEntityTooLarge {
				to.Answer(asRecorded(r))
				checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, want)
				return
			}
			shown := f.log.size()
			for run := range 2 {
				to.Answer(asRecorded(r))
				s, failure := f.try(t, "schedule-rule.json", invocationTimeout)
				lost := s.Unconfirmed
				if r.Status == http.StatusForbidden {
					lost = s.Refused
				}
				if failure == nil || s.Series < len(want) || lost != s.Series || s.Retries != 0 || s.Batches != 1 {
					t.Errorf("run %d: %v: of %d series %d accepted, %d refused, %d unconfirmed, %d not sent, after %d retries",
						run, failure, s.Series, s.Accepted, s.Refused, s.Unconfirmed, s.NotSent, s.Retries)
				}
				stored := 0
				for _, last := range ofRegistry(to) {
					if last.Timestamp == s.Timestamp.UnixMilli() {
						stored++
					}
				}
				if some := stored > 0 && stored < s.Series; some != r.Partial || !r.Partial && stored > 0 {
					t.Fatalf("the receiver stored %d of %d: the test does not test what it says", stored, s.Series)
				}
			}
			checkShown(t, f.log, shown, 2, r.Body)
			checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, want)
		})
	}
	for _, receiver := range []string{"cortex", "mimir", "thanos", "amp"} {
		if seen[receiver] < 3 {
			t.Errorf("%d responses of %s", seen[receiver], receiver)
		}
	}
}

// TestRecordedAnswers2 is the same for 2.0, in which responses count what was written.
// No number means 0.
func TestRecordedAnswers2(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, "team/service", 20)
	want := wantSeries(registry)
	for _, setting := range []string{"2.0", "auto"} {
		f := startFunction(t, ecrtest.Start(t, registry), to.URL.String(), scansFromSummary, "REMOTE_WRITE_PROTOCOL="+setting)
		checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, want)
		for _, r := range ofReceivers("2.0") {
			t.Run(setting+"/"+r.Name, func(t *testing.T) {
				if r.Status == http.StatusUnsupportedMediaType && setting == "auto" {
					t.Skip("falls back to 1.0: see TestProtocols")
				}
				written := 0
				if n := r.Header.Get(remotewritetest.SamplesWritten); n != "" {
					_, _ = fmt.Sscan(n, &written)
				}
				to.Answer(r.Answer)
				s, failure := f.try(t, "schedule-rule.json", invocationTimeout)
				if failure == nil || s.Accepted != written || s.Refused != s.Series-written || s.Protocol != "2.0" {
					t.Errorf("%v: of %d series %d accepted, %d refused, %d unconfirmed, %d not sent, by %s; %d were written",
						failure, s.Series, s.Accepted, s.Refused, s.Unconfirmed, s.NotSent, s.Protocol, written)
				}
				checkRestored(t, f.invoke(t, "schedule-rule.json", invocationTimeout), to, want)
			})
		}
		f.stop(t)
	}
}

// checkShown checks that a response body was logged since an offset, unchanged, in at
// most one line a run besides summaries.
func checkShown(t *testing.T, log *logLines, since, runs int, body string) {
	t.Helper()
	lines := func(text []byte) (found []string) {
		for line := range bytes.Lines(text[since:]) {
			var fields struct {
				Level, Body string
				Summary     json.RawMessage
			}
			if json.Unmarshal(line, &fields) == nil && fields.Body != "" && fields.Summary == nil && fields.Level != "DEBUG" {
				found = append(found, fields.Body)
			}
		}
		return found
	}
	var found []string
	log.wait(10*time.Second, func(text []byte) bool {
		found = lines(text)
		return len(found) > 0
	})
	want := strings.TrimSpace(body)
	if len(found) == 0 || len(found) > runs || slices.ContainsFunc(found, func(text string) bool { return text != want }) {
		t.Errorf("the response is in %d lines after %d runs: %q, want one a run at most, with %q", len(found), runs, found, want)
	}
}

// size is the number of logged bytes.
func (l *logLines) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}
