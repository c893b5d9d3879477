package remotewrite_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// rulesV1 are the sentences of
// https://prometheus.io/docs/specs/prw/remote_write_spec/ about senders.
func rulesV1() []rule {
	return slices.Concat(protocolV1(), labelsV1(), retriesV1(), staleV1(), beyondV1())
}

func protocolV1() []rule {
	return []rule{
		{id: "1.0#glossary.1", sentence: "the following definitions MUST be followed",
			outside: "it defines words and asks for no behaviour"},
		{id: "1.0#protocol.1", sentence: "MUST consist of RPCs with the following signature: func Send(WriteRequest)",
			check: readable(func(m *message) error {
				if len(m.v1.Timeseries) != 12 {
					return fmt.Errorf("%d timeseries in the WriteRequest", len(m.v1.Timeseries))
				}
				return nil
			}),
			wrong: fault{raw: func([]byte) []byte { return nil }}},
		{id: "1.0#protocol.2", sentence: "Senders MUST encode the Write Request in the body of a HTTP POST request",
			check: all(each(func(m *message) error {
				if m.Method != http.MethodPost || len(m.Body) == 0 {
					return fmt.Errorf("%s with %d bytes", m.Method, len(m.Body))
				}
				return nil
			})),
			wrong: faultRequest(func(r *http.Request) { r.Method = http.MethodPut })},
		{id: "1.0#protocol.3", sentence: "(MUST) send it to the Receivers via HTTP at a provided URL path",
			check: each(providedPath), wrong: faultRequest(func(r *http.Request) { r.URL.Path = "/api/v1/write" })},
		{id: "1.0#protocol.4", sentence: "Timestamps MUST be int64 counted as milliseconds since the Unix epoch",
			check: eachSeries(inMilliseconds), wrong: faultSeries(func(s *wireSeries) { s.samples[0].Timestamp /= 1000 })},
		{id: "1.0#protocol.5", sentence: "Values MUST be float64",
			do: func(s *scene) { s.push(values(1.0/3, math.MaxFloat64, -0.1)) }, check: bits(1.0/3, math.MaxFloat64, -0.1),
			wrong: faultValue(func(v float64) float64 { return float64(float32(v)) })},
		{id: "1.0#protocol.6", sentence: "headers MUST be sent: Content-Encoding: snappy",
			check: header("Content-Encoding", "snappy"), wrong: faultRequest(func(r *http.Request) { r.Header.Del("Content-Encoding") })},
		{id: "1.0#protocol.7", sentence: "headers MUST be sent: Content-Type: application/x-protobuf",
			check: header("Content-Type", "application/x-protobuf"), wrong: faultHeader("Content-Type", "application/x-protobuf; charset=utf-8")},
		{id: "1.0#protocol.8", sentence: "headers MUST be sent: User-Agent: <name & version of the sender>",
			check: headerLike("User-Agent", product), wrong: faultHeader("User-Agent", "exporter")},
		{id: "1.0#protocol.9", sentence: "headers MUST be sent: X-Prometheus-Remote-Write-Version: 0.1.0",
			check: header("X-Prometheus-Remote-Write-Version", "0.1.0"), wrong: faultHeader("X-Prometheus-Remote-Write-Version", "1.0")},
		{id: "1.0#protocol.10", sentence: "MUST NOT allow users to configure (custom headers) in such a way as to send reserved headers",
			do: configureHeaders, check: all(reservedAs("application/x-protobuf", "0.1.0"), requests(2)), wrong: fault{anyHeader: true}},
		{id: "1.0#protocol.11", sentence: "The body of the HTTP POST MUST be compressed with Google's Snappy",
			check: each(func(m *message) error { return m.err }), wrong: fault{pack: bytes.Clone}},
		{id: "1.0#protocol.12", sentence: "The block format MUST be used",
			check: readable(func(*message) error { return nil }), wrong: fault{pack: framed}},
		{id: "1.0#protocol.13", sentence: "the framed format MUST NOT be used",
			check: each(notFramed), wrong: fault{pack: framed}},
		{id: "1.0#protocol.14", sentence: "The remote write request MUST be encoded using Google Protobuf 3",
			check: readable(func(*message) error { return nil }), wrong: fault{raw: plainText}},
		{id: "1.0#protocol.15", sentence: "and MUST use the schema defined above",
			check: readable(schemaV1), wrong: fault{raw: func(raw []byte) []byte { return append(raw, 2<<3, 1) }}, // Cortex's source
		},
		{id: "1.0#protocol.16", sentence: "clients MUST ignore the response body",
			answers: []remotewritetest.Answer{{Status: 200, Body: "0 of 12 samples accepted, please send them again"}},
			check:   all(requests(1), deliveredSeries(12)), wrong: fault{verdict: func(_ remotewrite.Protocol, a *reply) (verdict, bool) {
				return refused, a.status == 200 && a.body != ""
			}}},
		{id: "1.0#compatibility.1", sentence: "Senders MUST send the version number in a headers",
			check: header("X-Prometheus-Remote-Write-Version", "0.1.0"),
			wrong: faultRequest(func(r *http.Request) { r.Header.Del("X-Prometheus-Remote-Write-Version") })},
		{id: "1.0#compatibility.2", sentence: "Senders who wish to send in a format >1.x MUST start by sending an empty 1.x",
			outside: "2.0 took its place, and says how to find out by Content-Type. A sender set to 1.0 sends nothing else, " +
				"whatever the response says",
			answers: []remotewritetest.Answer{{Status: 204, Header: http.Header{"X-Prometheus-Remote-Write-Version": {"2.0.0"}}}},
			do:      pushTwice, check: protocols(remotewritetest.V1, remotewritetest.V1), wrong: faultFollowsVersion},
		{id: "1.0#compatibility.3", sentence: "If there is no version header in the response, senders MUST assume 1.x compatibility only",
			do: pushTwice, check: protocols(remotewritetest.V1, remotewritetest.V1),
			wrong: fault{observe: func(remotewrite.Protocol, *reply) remotewrite.Protocol { return remotewrite.V2 }}},
		{id: "1.0#compatibility.4", sentence: "any 1.x compatible receivers MUST be able to read any 1.x compatible sender",
			check: all(stored(12, 1), noViolations), wrong: fault{raw: plainText}},
	}
}

func labelsV1() []rule {
	return append(labelRules("1.0#labels.", labelSentences{
		"The complete set of labels MUST be sent with each sample",
		"(the label set) SHOULD contain a __name__ label",
		"(the label set) MUST NOT contain repeated label names",
		"(the label set) MUST have label names sorted in lexicographical order",
		"(the label set) MUST NOT contain any empty label names",
		"(the label set) MUST NOT contain any empty label values",
		"Senders MUST only send valid metric names, label names, and label values",
		"Metric names MUST adhere to the regex [a-zA-Z_:]([a-zA-Z0-9_:])*",
		"Label names MUST adhere to the regex [a-zA-Z_]([a-zA-Z0-9_])*",
		`Label names beginning with "__" are RESERVED for system usage and SHOULD NOT be used`,
	}), []rule{
		{id: "1.0#labels.11", sentence: "Senders MUST NOT try and interpret the error message",
			answers: misleading, do: pushOnEach(2), check: attempts(1, 2), wrong: faultInterprets},
		{id: "1.0#labels.12", sentence: "and SHOULD log it as is",
			answers: answer(1, 400, strangeError), check: logged(strangeError), wrong: fault{quiet: true}},
		{id: "1.0#ordering.1", sentence: "senders MUST send samples for any given series in timestamp order",
			answers: overloaded, do: pushOnEach(3), check: inOrder, wrong: fault{backlog: true}},
	}...)
}

func retriesV1() []rule {
	return []rule{
		{id: "1.0#retries.1", sentence: "senders MUST retry write requests on HTTP 5xx responses",
			answers: []remotewritetest.Answer{{Status: 500}, {Status: 502}, {Status: 503}, {Status: 504}, {Status: 599}},
			check:   all(requests(6), sameBytes, stored(12, 1), deliveredSeries(12)), wrong: faultVerdict(refused, 599)},
		{id: "1.0#retries.2", sentence: "and MUST use a backoff algorithm to prevent overwhelming the server",
			answers: answer(6, 500, ""), check: growing, wrong: fault{wait: func(int) time.Duration { return 50 * time.Millisecond }}},
		{id: "1.0#retries.3", sentence: "They MUST NOT retry write requests on HTTP 2xx",
			answers: []remotewritetest.Answer{{Status: 200}, {Status: 201}, {Status: 202}, {Status: 204}, {Status: 299}},
			do:      pushOnEach(5), check: all(requests(5), deliveredSeries(60)), wrong: faultVerdict(again, 202)},
		{id: "1.0#retries.4", sentence: "(They MUST NOT retry on) 4xx responses other than 429",
			answers: final, do: pushOnEach(len(final)), check: all(requests(len(final)), deliveredSeries(0)), wrong: faultVerdict(again, 408)},
	}
}

func staleV1() []rule {
	return []rule{
		{id: "1.0#stale.1", sentence: "senders MUST send stale markers when a time series will no longer be appended to",
			do: pushStale, check: markedOnce, wrong: faultNoMarkers},
		{id: "1.0#stale.2", sentence: "Stale markers MUST be signalled by the special NaN value 0x7ff0000000000002",
			do: pushStale, check: markersOnly, wrong: faultValue(otherNaN)},
		{id: "1.0#stale.3", sentence: "This value MUST NOT be used otherwise",
			do: pushNaN, check: noMarkers, wrong: faultValue(asMarker)},
	}
}

func beyondV1() []rule {
	return []rule{
		{id: "1.0#out-of-scope.1", sentence: "The path for HTTP handler can be anything - and MUST be provided by the sender",
			check: each(providedPath), wrong: faultRequest(func(r *http.Request) { r.URL.Path = "/" })},
		{id: "1.0#out-of-scope.2", sentence: "It is recommended that senders should persistently buffer sample data in the event of outages",
			// The inventory is persistent, and the next run sends all of it again.
			answers: overloaded, do: pushTwice, check: all(stored(12, 1), deliveredSeries(12)), wrong: fault{forgets: true}},
		{id: "1.0#out-of-scope.3", sentence: "When senders do implement parallelisation they MUST preserve per-series sample ordering",
			batch: 3, answers: overloaded, do: pushOnEach(3), check: inOrder, wrong: fault{backlog: true}},
	}
}

func providedPath(m *message) error {
	if m.Path != "/workspaces/ws-1/api/v1/remote_write" {
		return fmt.Errorf("sent to %s", m.Path)
	}
	return nil
}

func inMilliseconds(s *wireSeries) error {
	if got, want := s.samples[0].Timestamp, firstRun.UnixMilli(); got != want {
		return fmt.Errorf("timestamp %d, want %d", got, want)
	}
	return nil
}

func notFramed(m *message) error {
	if bytes.HasPrefix(m.Body, []byte("\xff\x06\x00\x00sNaPpY")) {
		return errors.New("the framed format")
	}
	return nil
}

// schemaV1 requires that there is nothing outside the 1.0 schema.
func schemaV1(m *message) error {
	var known prompb.WriteRequest
	for _, s := range m.series {
		known.Timeseries = append(known.Timeseries, prompb.TimeSeries{Labels: s.labels, Samples: s.samples})
	}
	raw, err := known.Marshal()
	if err == nil && !bytes.Equal(raw, m.raw) {
		err = errors.New("something that is not in the schema")
	}
	return err
}

// sameBytes requires that all requests have the same body.
func sameBytes(s *scene) error {
	for _, w := range s.messages {
		if w.Sum != s.messages[0].Sum {
			return errors.New("an attempt with another body")
		}
	}
	return nil
}

func logged(text string) func(*scene) error {
	return func(s *scene) error {
		if !s.log.has(text) {
			return fmt.Errorf("%q is not in the log:\n%s", text, strings.TrimSpace(s.log.buf.String()))
		}
		return nil
	}
}
