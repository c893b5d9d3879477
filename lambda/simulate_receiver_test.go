package main

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// track is what the receiver has of one series.
type track struct {
	key, family        string
	repository, digest string
	// since is the timestamp of the first sample after the last marker, in milliseconds
	// since 1970; last and value are those of the last sample.
	since, last int64
	value       float64
	// sent are the invocations that stored a sample since then that is no marker. accepted
	// is set if one of them was accepted, as far as the Summary says.
	sent          []int
	accepted      bool
	markerRefused bool     // since then
	settings      settings // those of the last sample that is no marker
}

var staleBits = math.Float64bits(metrics.StaleMarker)

func (t *track) stale() bool { return math.Float64bits(t.value) == staleBits }

// runFamilies are those of the run itself, which are pushed once a run and never end.
var runFamilies = func() map[string]bool {
	names := map[string]bool{}
	for _, f := range metrics.RunFamilies() {
		names[f.Name] = true
	}
	return names
}()

// respondReceiver responds for the receiver.
func (s *simulation) respondReceiver(inv *invocation, req *request) (*http.Response, error) {
	var answer remotewritetest.Answer
	refuse := func(remotewritetest.Series) string { return "" }
	switch req.fault {
	case "unreachable":
		return nil, errNetwork
	case "429", "503":
		answer.Status = map[string]int{"429": 429, "503": 503}[req.fault]
	case "429 with Retry-After":
		answer.Status, answer.Header = 429, http.Header{"Retry-After": {"7"}}
	case "400", "403", "413":
		answer.Status = map[string]int{"400": 400, "403": 403, "413": 413}[req.fault]
		for _, series := range seriesIn(req) {
			s.refuse(series)
		}
	case "400 for a repository":
		poisoned := s.poisoned()
		refuse = func(series remotewritetest.Series) string {
			if series.Labels["name"] == poisoned {
				s.refuse(series)
				return "err-mimir: not this one"
			}
			return ""
		}
	case "stored in part, then 500":
		answer.Status = http.StatusInternalServerError
		refuse = func(series remotewritetest.Series) string {
			if s.chance("part", series.String()) < 0.5 {
				return "not enough replicas"
			}
			return ""
		}
	}
	if answer.Status == 0 || answer.Status == http.StatusInternalServerError {
		answer.Refuse = func(series remotewritetest.Series) string {
			text := refuse(series)
			if text == "" {
				s.store(inv, series)
			}
			return text
		}
	}
	s.receiver.Answer(answer)
	resp, err := answered(s.receiver, req)
	switch req.fault {
	case "stored without response":
		inv.unanswered = true
		return nil, s.hang(req)
	case "stored, then reset":
		inv.unanswered = true
		return nil, errNetwork
	}
	return resp, err
}

// seriesIn returns the series of a request, whichever its protocol.
func seriesIn(req *request) (all []remotewritetest.Series) {
	reader := remotewritetest.New(remotewritetest.Options{})
	reader.Answer(remotewritetest.Answer{Refuse: func(series remotewritetest.Series) string {
		all = append(all, series)
		return "only read"
	}})
	_, _ = answered(reader, req)
	return all
}

// refuse records that the receiver refused a series for good.
func (s *simulation) refuse(series remotewritetest.Series) {
	if t := s.tracks[series.String()]; t != nil && math.Float64bits(series.Last().Value) == staleBits {
		t.markerRefused = true
	}
}

// poisoned is the repository whose series the receiver refuses now.
func (s *simulation) poisoned() string {
	at := time.Since(s.begin)
	for _, w := range s.windows {
		if w.service == serviceReceiver && w.fault == "400 for a repository" && at >= w.from && at < w.to {
			return w.repository
		}
	}
	return ""
}

// store records what the receiver stores.
func (s *simulation) store(inv *invocation, series remotewritetest.Series) {
	family := series.Labels["__name__"]
	if runFamilies[family] {
		s.watch.exports(inv, series)
		return
	}
	key := series.String()
	t := s.tracks[key]
	if t == nil {
		t = &track{key: key, family: family, repository: series.Labels["name"], digest: series.Labels["digest"]}
		s.tracks[key] = t
	}
	sample := series.Last()
	if sample.Timestamp <= t.last {
		return // sent again; the receiver itself reports what is out of order
	}
	inv.stored[t] = sample.Timestamp
	was := t.last == 0 || t.stale()
	t.last, t.value = sample.Timestamp, sample.Value
	s.watch.stored(inv, t)
	if t.stale() {
		s.checkMarker(inv, t)
		return
	}
	if was {
		t.since, t.sent, t.accepted = sample.Timestamp, nil, false
	}
	t.sent, t.settings, t.markerRefused = append(t.sent, inv.n), s.settings, false
}

// repositoryOf returns the repository that a request to an AWS API is about.
func repositoryOf(body []byte) string {
	if !strings.Contains(string(body), "repositoryName") {
		return ""
	}
	var in struct {
		RepositoryName string `json:"repositoryName"`
	}
	_ = json.Unmarshal(body, &in)
	return in.RepositoryName
}
