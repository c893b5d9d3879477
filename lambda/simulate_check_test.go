package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
)

// rule is the rule that a finding is about: those of the issue by number.
type rule string

const (
	ruleKept         rule = "1"              // what was learned is kept before anyone is told
	ruleKeptFirst    rule = "2"              // changes are kept before the push that shows them
	ruleNoAnswer     rule = "3"              // an answer that says nothing is no answer
	ruleSettings     rule = "4"              // a changed setting ends what it hides
	ruleReturned     rule = "5"              // a refusal or a failed push is no redelivery
	ruleOneBad       rule = "6"              // one bad thing takes nothing else with it
	ruleAccounts     rule = "12"             // the accounts say what is known
	rulePartial      rule = "partial counts" // those of an event end no counts that it does not have
	ruleDeadline     rule = "deadline"
	ruleOrder        rule = "receiver" // the protocol, and the order of samples
	ruleCalls        rule = "calls"    // no request that is not due
	ruleUnclassified rule = "unclassified"
)

// finding is a check that failed.
type finding struct {
	rule  rule
	check string
	text  string
}

func (f finding) String() string { return fmt.Sprintf("%s (rule %s): %s", f.check, f.rule, f.text) }

// maxFindings bounds the findings of a check and seed that are printed.
const maxFindings = 3

func (s *simulation) find(r rule, check, format string, args ...any) {
	n := 0
	for _, f := range s.findings {
		if f.rule == r && f.check == check {
			n++
		}
	}
	if n == maxFindings {
		return
	}
	f := finding{r, check, fmt.Sprintf(format, args...)}
	s.findings = append(s.findings, f)
	s.logf("  FINDING %v", f)
}

// The ends that documented rules leave to the five-minute lookback, or otherwise allow. They
// are counted.
const (
	allowedForgotten = "forgotten by an environment that could not save"
	allowedRefused   = "the receiver refused the marker"
	allowedScan      = "scan event lost: the counts are old for at most a day"
	allowedDenied    = "denied repository: listed an interval after the denial"
	allowedChild     = "an index's count is that of the children whose results are known"
)

// expected are the series that the registry must have now under the settings.
func (s *simulation) expected() map[string]float64 {
	var tags, families *regexp.Regexp
	if s.settings.tagsExclude != "" {
		tags = regexp.MustCompile("^(?:" + s.settings.tagsExclude + ")$")
	}
	if s.settings.familiesExclude != "" {
		families = regexp.MustCompile("^(?:" + s.settings.familiesExclude + ")$")
	}
	all := map[string]float64{}
	for series := range contracttest.Of(s.registry, contracttest.IndexScansAt(s.registry, time.Now())) {
		if families != nil && families.MatchString(series.Family) {
			continue
		}
		if tags != nil && slices.ContainsFunc(series.Labels, func(l [2]string) bool { return l[0] == "tag" && tags.MatchString(l[1]) }) {
			continue
		}
		if s.settings.zone != "" {
			series.Labels = append(slices.Clone(series.Labels), [2]string{"zone", s.settings.zone})
		}
		all[series.Key()] = series.Value
	}
	return all
}

// observe records which series must be there from now on.
func (s *simulation) observe() {
	now, expected := time.Now(), s.expected()
	maps.DeleteFunc(s.truth, func(key string, _ time.Time) bool { _, there := expected[key]; return !there })
	for key := range expected {
		if s.truth[key].IsZero() {
			s.truth[key] = now
		}
	}
	s.watch.expect(expected)
}

// checkMarker checks that a marker does not end a series that was in the registry all the
// time since the series began at the receiver.
func (s *simulation) checkMarker(inv *invocation, t *track) {
	if since, there := s.truth[t.key]; there && t.since > 0 && since.UnixMilli() < t.since {
		if s.indexes && t.family == contracttest.ScanSeverity {
			s.allowed[allowedChild]++
			return
		}
		r := ruleNoAnswer
		if s.enhanced && t.family == contracttest.ScanSeverity && !s.saidNothing {
			r = rulePartial
		}
		s.find(r, "live series ended", "invocation %d ended %s, which was there since %s", inv.n, t.key, moment(since, s.begin))
	}
}

// saved records whether what is known up to an invocation is saved.
func (s *simulation) saved(inv *invocation) {
	switch {
	case inv.saved:
		s.unsaved, s.savedAfter = nil, inv.n
	case inv.saveFailed:
		s.unsaved = append(s.unsaved, inv.n)
	}
}

// account checks one invocation's Summary against what the services saw.
func (s *simulation) account(inv *invocation, summary *exporter.Summary, answer any, err error) {
	s.saved(inv)
	if summary == nil {
		s.logf("  no run: %v; error %v; faults %v", answer, err, inv.failed)
		return
	}
	p := summary.Push
	s.logf("  due %d refreshed %d gone %d denied %d failed %d left %d; scans %d/%d; series %d accepted %d refused %d unconfirmed %d not sent %d ended %d stored %d; errors %v; faults %v",
		summary.Due, summary.Refreshed, summary.Gone, summary.Denied, summary.Failed, summary.Left, summary.Scans.Answered, summary.Scans.Due,
		p.Series, p.Accepted, p.Refused, p.Unconfirmed, p.NotSent, summary.Ended, len(inv.stored), slices.Sorted(maps.Keys(summary.Errors)), inv.failed)
	if sum := p.Accepted + p.DroppedTotal() + p.Refused + p.Unconfirmed + p.NotSent; sum != p.Series {
		s.find(ruleAccounts, "summary not balanced", "invocation %d: %d series, of which %d are accounted for", inv.n, p.Series, sum)
	}
	stored := 0
	for t, at := range inv.stored {
		if at == summary.Timestamp.UnixMilli() {
			stored++
		}
		t.accepted = t.accepted || p.Accepted > 0
	}
	if stored < p.Accepted || stored > p.Accepted+p.Unconfirmed {
		s.find(ruleAccounts, "summary differs from the receiver", "invocation %d: %d stored, but accepted %d, unconfirmed %d, refused %d, not sent %d; faults %v",
			inv.n, stored, p.Accepted, p.Unconfirmed, p.Refused, p.NotSent, inv.failed)
	}
	if !maps.Equal(summary.Calls, inv.calls) {
		s.find(ruleCalls, "calls differ", "invocation %d: Summary %v, API %v", inv.n, summary.Calls, inv.calls)
	}
}

// check ends the faults, makes clean runs, and holds the receiver against the registry.
func (s *simulation) check() {
	s.mu.Lock()
	s.calm = true
	s.logf("no more faults")
	if s.dieAtEnd {
		s.logf("the environment dies")
		s.die()
	}
	s.mu.Unlock()
	if summary := s.cleanRun(); summary != nil {
		s.checkKept(summary)
	}
	time.Sleep(2 * time.Minute) // the last scans end
	s.drain()
	s.pause(s.settings.interval + 20*time.Minute)
	s.cleanRun()
	s.pause(schedule)
	s.checkCalls(s.cleanRun())
	s.checkReceiver(true)
	if s.allowed[allowedScan] > 0 {
		s.pause(25 * time.Hour)
		s.cleanRun()
		s.pause(schedule)
		s.cleanRun()
		s.checkReceiver(false)
	}
	for _, violation := range s.receiver.Violations() {
		s.find(ruleOrder, "receiver", "%s", violation)
	}
	s.die()
	s.totals.deadLetters, s.totals.expired = s.queue.deadLetters, s.queue.expired
}

func (s *simulation) pause(d time.Duration) {
	time.Sleep(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe()
}

// drain delivers what is left in the queue.
func (s *simulation) drain() {
	for {
		s.mu.Lock()
		next := s.queue.next()
		s.mu.Unlock()
		if next.IsZero() {
			return
		}
		time.Sleep(time.Until(next))
		s.deliver()
	}
}

// cleanRun makes a scheduled run without faults, which must succeed.
func (s *simulation) cleanRun() *exporter.Summary {
	summary := s.run()
	s.mu.Lock()
	defer s.mu.Unlock()
	if summary == nil || len(summary.Errors) > 0 {
		s.find(ruleUnclassified, "clean run failed", "%+v", summary)
	}
	return summary
}

// checkKept checks, after the first clean run, the repositories all of whose changes events
// reported that were acknowledged: nothing about them may have been forgotten.
func (s *simulation) checkKept(summary *exporter.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[string]bool{}
	for _, c := range s.changes {
		if c.scan || c.at.Equal(s.begin) { // the first run lists what there was
			continue
		}
		if _, seen := kept[c.repository]; !seen {
			kept[c.repository] = true
		}
		kept[c.repository] = kept[c.repository] && !c.acknowledged.IsZero()
	}
	at, expected := summary.Timestamp.UnixMilli(), s.expected()
	ofImages := func(family string) bool {
		return family == contracttest.ImageSize || family == contracttest.ImagePushed
	}
	for _, key := range slices.Sorted(maps.Keys(expected)) {
		value := expected[key]
		family, _, _ := strings.Cut(key, "{")
		repository := labelOf(key, "name")
		if !ofImages(family) || !kept[repository] {
			continue
		}
		if t := s.tracks[key]; t == nil || t.last != at || t.value != value {
			s.forgot(repository, "%s is missing or has another value: an acknowledged event about it was not kept", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.tracks)) {
		t := s.tracks[key]
		if _, there := expected[key]; !there && ofImages(t.family) && kept[t.repository] && t.last == at && !t.stale() {
			s.forgot(t.repository, "%s is still sent: an acknowledged event about it was not kept", key)
		}
	}
}

// forgot reports what an acknowledged event about a repository reported and was not kept.
func (s *simulation) forgot(repository, format string, args ...any) {
	if at, denied := s.denied[repository]; denied && time.Since(at) < s.settings.interval+time.Minute {
		s.allowed[allowedDenied]++
		return
	}
	s.find(ruleKept, "event not kept", format, args...)
}

// labelOf returns the value of a label in a series' key.
func labelOf(key, name string) string {
	for _, separator := range []string{"{", ","} {
		if _, rest, ok := strings.Cut(key, separator+name+`="`); ok {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}

// checkListing checks that no environment lists a repository's images again before they are
// due an interval after the run that listed them, unless something about the repository changed, of which there may be an event. The
// time of an event is exact to a second.
func (s *simulation) checkListing(req *request) {
	last, now := s.listings[req.repository], listed{s.invocation.start, s.environment.n, s.invocation.failed[serviceS3] > 0}
	s.listings[req.repository] = now
	if last.alone || last.environment != now.environment || now.at.Sub(last.at) >= s.settings.interval {
		return
	}
	if repository, _ := s.registry.Repository(req.repository); time.Since(repository.CreatedAt) < s.settings.interval+2*schedule {
		return // the list of repositories shows that it is another one of the same name
	}
	if !slices.ContainsFunc(s.changes, func(c *change) bool {
		return c.repository == req.repository && c.at.After(last.at.Add(-2*time.Second))
	}) {
		s.find(ruleCalls, "listed again", "invocation %d lists the images of %s, %v after they were listed", s.invocation.n, req.repository, now.at.Sub(last.at))
	}
}

// checkCalls checks that the second of two clean runs lists nothing again.
func (s *simulation) checkCalls(summary *exporter.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if summary == nil || s.settings.interval <= schedule {
		return
	}
	for operation, n := range summary.Calls {
		if operation != "DescribeImageScanFindings" || summary.Scans.Due == 0 {
			s.find(ruleCalls, "call not due", "%d requests of %s", n, operation)
		}
	}
}

// checkReceiver holds the receiver's series against the registry after clean runs. Scans
// whose event was lost may be old for a day.
func (s *simulation) checkReceiver(lenient bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := map[string]contracttest.Last{}
	for key, t := range s.tracks {
		have[key] = contracttest.Last{At: t.last, Value: t.value}
	}
	unsure := map[string]bool{}
	for _, c := range s.changes {
		if c.scan {
			unsure[c.repository+c.digest] = c.acknowledged.IsZero() || unsure[c.repository+c.digest] && c.lost
		}
	}
	for _, repository := range s.registry.Repositories() {
		for _, image := range s.registry.Images(repository.Name) {
			for _, child := range image.Children { // whose scans are the index's
				unsure[repository.Name+image.Digest] = unsure[repository.Name+image.Digest] || unsure[repository.Name+child.Digest]
			}
		}
	}
	mayBeOld := func(key string) bool {
		if !lenient || !strings.Contains(key, "_scan_") || !unsure[labelOf(key, "name")+labelOf(key, "digest")] {
			return false
		}
		s.allowed[allowedScan]++
		return true
	}
	for _, d := range contracttest.Check(s.expected(), have) {
		t := s.tracks[d.Key]
		switch {
		case d.Fault != contracttest.NotEnded:
			if !mayBeOld(d.Key) {
				s.find(s.ruleOfLive(d.Key), string(d.Fault), "%s %s", d.Key, d.Text)
			}
		case t.markerRefused:
			s.allowed[allowedRefused]++
		case s.wasForgotten(t):
			s.allowed[allowedForgotten]++
		default:
			s.find(s.ruleOfEnd(t), string(d.Fault), "%s, begun by invocation %d, last sent by %d at %s, %s",
				d.Key, t.sent[0], t.sent[len(t.sent)-1], moment(time.UnixMilli(t.last), s.begin), d.Text)
		}
	}
}

// wasForgotten reports whether no invocation that sent a series could save that, nor a later
// one before their environments died.
func (s *simulation) wasForgotten(t *track) bool {
	return !slices.ContainsFunc(t.sent, func(n int) bool { return !s.forgotten[n] })
}

// ruleOfLive guesses the rule behind a wrong live series.
func (s *simulation) ruleOfLive(key string) rule {
	switch {
	case strings.Contains(key, "_scan_") && s.deniedScans[labelOf(key, "name")]:
		return ruleOneBad
	case strings.Contains(key, "_scan_") && s.emptiedScans[labelOf(key, "name")]:
		return ruleNoAnswer
	case strings.Contains(key, "_scan_"):
		return ruleKept
	}
	return ruleUnclassified
}

// ruleOfEnd guesses the rule behind a missing end.
func (s *simulation) ruleOfEnd(t *track) rule {
	switch {
	case slices.ContainsFunc(s.lost, func(l [2]int) bool { return t.sent[0] > l[0] && t.sent[0] <= l[1] }):
		return ruleKeptFirst
	case !t.accepted:
		return ruleAccounts
	case t.settings != s.settings:
		return ruleSettings
	}
	return ruleUnclassified
}
