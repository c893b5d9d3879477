package remotewrite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// byHand is a simple remote-write sender on prompb and writev2. It keeps every rule
// for senders except for its fault, so a check that fails has found this fault.
type byHand struct {
	url      *url.URL
	client   *http.Client
	log      *slog.Logger
	protocol remotewrite.Protocol
	header   http.Header // custom ones
	fault    fault

	found   remotewrite.Protocol // by Auto
	pushes  int
	failed  bool         // the last push
	backlog []wireSeries // of a sender that keeps what it could not send
}

// fault is what a sender does wrong. The zero value is nothing.
type fault struct {
	// series changes a series of a push, counted from 1, before it is encoded, and
	// reports whether it is sent.
	series func(push int, s *wireSeries) bool
	// v1 and v2 change a message, raw its encoding, request all but the body.
	v1      func(*prompb.WriteRequest)
	v2      func(*writev2.Request)
	raw     func([]byte) []byte
	pack    func(raw []byte) []byte
	request func(*http.Request)
	// verdict replaces the verdict on a response if it returns true.
	verdict func(p remotewrite.Protocol, a *reply) (verdict, bool)
	// observe changes the version to send from then on.
	observe func(p remotewrite.Protocol, a *reply) remotewrite.Protocol
	wait    func(attempt int) time.Duration
	// anyHeader lets every header be configured, quiet logs nothing, alone sends
	// each series in a request of its own, backlog sends what could not be sent
	// after what is new, forgets sends nothing after a push that failed.
	anyHeader, quiet, alone, backlog, forgets bool
}

// wireSeries is a series of either protocol.
type wireSeries struct {
	labels  []prompb.Label
	samples []prompb.Sample
	family  *metrics.Family
}

func (s *wireSeries) name() string {
	for _, l := range s.labels {
		if l.Name == "__name__" {
			return l.Value
		}
	}
	return ""
}

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   string
}

func (a *reply) written() bool {
	return a.header.Get(remotewritetest.SamplesWritten) != "" ||
		a.header.Get(remotewritetest.HistogramsWritten) != "" || a.header.Get(remotewritetest.ExemplarsWritten) != ""
}

type verdict int

const (
	accepted verdict = iota
	again            // with the same bytes
	asV1             // as a 1.0 message
	refused
)

func (b *byHand) with(name, value string) (sender, error) {
	reserved := []string{"content-encoding", "content-type", "user-agent", "x-prometheus-remote-write-version"}
	if !b.fault.anyHeader && slices.Contains(reserved, strings.ToLower(name)) {
		return nil, fmt.Errorf("header %s is reserved", name)
	}
	other := *b
	other.header = http.Header{http.CanonicalHeaderKey(name): {value}}
	return &other, nil
}

func (b *byHand) push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) result {
	b.pushes++
	var all []wireSeries
	for s := range series {
		w, ok := clean(s)
		w.samples = []prompb.Sample{{Value: s.Value, Timestamp: at.UnixMilli()}}
		if ok && (b.fault.series == nil || b.fault.series(b.pushes, &w)) {
			all = append(all, w)
		}
	}
	if b.fault.forgets && b.failed {
		return result{}
	}
	size := max(len(all), 1)
	if b.fault.alone {
		size = 1
	}
	var r result
	for part := range slices.Chunk(all, size) {
		r.add(b.deliver(ctx, part))
	}
	if late := b.backlog; len(late) > 0 && r.err == nil {
		b.backlog = nil
		r.add(b.deliver(ctx, late))
	}
	if b.failed = r.err != nil; b.failed && b.fault.backlog {
		b.backlog = all
	}
	return r
}

// clean returns the labels as they have to be sent, and whether they are valid.
func clean(s metrics.Series) (w wireSeries, ok bool) {
	w.family = s.Family
	for _, l := range s.Labels {
		if l.Value != "" {
			w.labels = append(w.labels, prompb.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
		}
	}
	slices.SortFunc(w.labels, func(x, y prompb.Label) int { return strings.Compare(x.Name, y.Name) })
	for i, l := range w.labels {
		if !legacyLabel.MatchString(l.Name) || strings.ToValidUTF8(l.Value, "") != l.Value || i > 0 && l.Name == w.labels[i-1].Name {
			return w, false
		}
	}
	return w, legacyMetric.MatchString(w.name())
}

// deliver sends one message until the response is final or the time is up.
func (b *byHand) deliver(ctx context.Context, all []wireSeries) result {
	p := b.protocol
	if p == remotewrite.Auto {
		if p = b.found; p == "" {
			p = remotewrite.V2
		}
	}
	body, err := b.encode(p, all)
	if err != nil {
		return result{err: err}
	}
	for attempt := 1; ; attempt++ {
		a, err := b.post(ctx, p, body)
		if err != nil {
			return result{err: err}
		}
		if b.fault.observe != nil {
			b.protocol, b.found = remotewrite.Auto, b.fault.observe(p, a)
		}
		switch b.judge(p, a) {
		case accepted:
			return result{accepted: len(all)}
		case asV1:
			p, b.found = remotewrite.V1, remotewrite.V1
			if body, err = b.encode(p, all); err != nil {
				return result{err: err}
			}
		case refused:
			if !b.fault.quiet {
				b.log.Error("refused", slog.Int("status", a.status), slog.String("body", a.body))
			}
			return result{err: fmt.Errorf("HTTP %d %q", a.status, a.body)}
		case again:
			wait := b.wait(attempt, a)
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
				return result{err: errors.New("no time for a further attempt")}
			}
			time.Sleep(wait)
		}
	}
}

func (b *byHand) judge(p remotewrite.Protocol, a *reply) verdict {
	if b.fault.verdict != nil {
		if v, ok := b.fault.verdict(p, a); ok {
			return v
		}
	}
	old := b.protocol == remotewrite.Auto && p == remotewrite.V2 && !a.written()
	switch {
	case old && (a.status/100 == 2 || a.status == 400 || a.status == 415):
		return asV1
	case a.status/100 == 2:
		return accepted
	case a.status/100 == 5, a.status == 429:
		return again
	}
	return refused
}

func (b *byHand) wait(attempt int, a *reply) time.Duration {
	if b.fault.wait != nil {
		return b.fault.wait(attempt)
	}
	wait := 10 * time.Millisecond << attempt
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil {
		wait = max(wait, time.Duration(seconds)*time.Second)
	}
	return wait
}

func (b *byHand) encode(p remotewrite.Protocol, all []wireSeries) (body []byte, err error) {
	var raw []byte
	if p == remotewrite.V1 {
		var req prompb.WriteRequest
		for _, s := range all {
			req.Timeseries = append(req.Timeseries, prompb.TimeSeries{Labels: s.labels, Samples: s.samples})
		}
		if b.fault.v1 != nil {
			b.fault.v1(&req)
		}
		raw, err = req.Marshal()
	} else {
		req := messageV2(all)
		if b.fault.v2 != nil {
			b.fault.v2(req)
		}
		raw, err = req.Marshal()
	}
	if err != nil {
		return nil, err
	}
	if b.fault.raw != nil {
		raw = b.fault.raw(raw)
	}
	if b.fault.pack != nil {
		return b.fault.pack(raw), nil
	}
	return snappy.Encode(nil, raw), nil
}

func messageV2(all []wireSeries) *writev2.Request {
	table, req := writev2.NewSymbolTable(), new(writev2.Request)
	for _, s := range all {
		ts := writev2.TimeSeries{Metadata: writev2.Metadata{
			Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: table.Symbolize(s.family.Help),
		}}
		for _, l := range s.labels {
			ts.LabelsRefs = append(ts.LabelsRefs, table.Symbolize(l.Name), table.Symbolize(l.Value))
		}
		for _, sample := range s.samples {
			ts.Samples = append(ts.Samples, writev2.Sample{Value: sample.Value, Timestamp: sample.Timestamp})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Symbols = table.Symbols()
	return req
}

func (b *byHand) post(ctx context.Context, p remotewrite.Protocol, body []byte) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"Content-Encoding":                  {"snappy"},
		"Content-Type":                      {"application/x-protobuf"},
		"User-Agent":                        {"by-hand/1.0"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
	}
	if p == remotewrite.V2 {
		req.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		req.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
	for name, values := range b.header {
		req.Header[name] = values
	}
	if b.fault.request != nil {
		b.fault.request(req)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return &reply{resp.StatusCode, resp.Header, strings.TrimSpace(string(text))}, err
}
