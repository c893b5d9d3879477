package remotewrite_test

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// rulesV2 are the sentences of
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ about senders.
func rulesV2() []rule {
	return slices.Concat(protocolV2(), headersV2(), responseV2(), retriesV2(), messageV2Rules(), seriesV2())
}

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// oldReceiver accepts only 1.0 and answers 2.0 with 415.
var oldReceiver = remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}}

func protocolV2() []rule {
	return []rule{
		{id: "2.0#protocol.1", sentence: "MUST consist of RPCs with the request body serialized using a Google Protocol Buffers and then compressed",
			check: readable(func(*message) error { return nil }), wrong: fault{raw: plainText}},
		{id: "2.0#protocol.2", sentence: "The protobuf serialization MUST use either of the following Protobuf Messages",
			check: readable(schemaV2), wrong: fault{raw: func(raw []byte) []byte { return append(raw, 9<<3, 1) }}},
		{id: "2.0#protocol.3", sentence: "(prometheus.WriteRequest) SHOULD be used only for compatibility reasons",
			protocol: remotewrite.Auto, check: protocols(remotewritetest.V2),
			wrong: fault{verdict: func(p remotewrite.Protocol, _ *reply) (verdict, bool) { return asV1, p == remotewrite.V2 }}},
		{id: "2.0#protocol.4", sentence: "Senders and Receivers SHOULD use this message (io.prometheus.write.v2.Request) when possible",
			protocol: remotewrite.Auto, answers: answer(1, 503, ""), do: pushTwice,
			check: all(protocols(remotewritetest.V2, remotewritetest.V2, remotewritetest.V2), stored(12, 2)), wrong: faultVerdict(asV1, 503)},
		{id: "2.0#protocol.5", sentence: "Senders and Receivers MUST support the io.prometheus.write.v2.Request",
			to:    remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V2}},
			check: all(protocols(remotewritetest.V2), stored(12, 1)),
			wrong: fault{request: func(r *http.Request) { r.Header.Set("Content-Type", typeV1) }}},
		{id: "2.0#protocol.6", sentence: "Protobuf Message MUST use binary Wire Format",
			check: readable(func(*message) error { return nil }), wrong: fault{raw: plainText}},
		{id: "2.0#protocol.7", sentence: "Then, MUST be compressed with Google's Snappy",
			check: each(func(m *message) error { return m.err }), wrong: fault{pack: bytes.Clone}},
		{id: "2.0#protocol.8", sentence: "Snappy's block format MUST be used",
			check: readable(func(*message) error { return nil }), wrong: fault{pack: framed}},
		{id: "2.0#protocol.9", sentence: "the framed format MUST NOT be used",
			check: each(notFramed), wrong: fault{pack: framed}},
		{id: "2.0#protocol.10", sentence: "Senders MUST send a serialized and compressed Protobuf Message in the body of an HTTP POST request",
			check: readable(func(m *message) error {
				if m.Method != http.MethodPost {
					return errors.New(m.Method)
				}
				return nil
			}),
			wrong: faultRequest(func(r *http.Request) { r.Method = http.MethodPut })},
		{id: "2.0#protocol.11", sentence: "and (MUST) send it to the Receiver via HTTP at the provided URL path",
			check: each(providedPath), wrong: faultRequest(func(r *http.Request) { r.URL.Path = "/api/v1/write" })},
	}
}

func headersV2() []rule {
	return []rule{
		{id: "2.0#headers.1", sentence: "Senders MUST send the following reserved headers: Content-Encoding",
			check: headerLike("Content-Encoding", token), wrong: faultRequest(func(r *http.Request) { r.Header.Del("Content-Encoding") })},
		{id: "2.0#headers.2", sentence: "Senders MUST send the following reserved headers: Content-Type",
			check: headerThere("Content-Type"), wrong: faultRequest(func(r *http.Request) { r.Header.Del("Content-Type") })},
		{id: "2.0#headers.3", sentence: "Senders MUST send the following reserved headers: X-Prometheus-Remote-Write-Version",
			check: headerThere("X-Prometheus-Remote-Write-Version"),
			wrong: faultRequest(func(r *http.Request) { r.Header.Del("X-Prometheus-Remote-Write-Version") })},
		{id: "2.0#headers.4", sentence: "Senders MUST send the following reserved headers: User-Agent",
			check: headerThere("User-Agent"), wrong: faultHeader("User-Agent", "")},
		{id: "2.0#headers.5", sentence: "they MUST NOT allow users to configure (custom headers) in such a way as to send reserved headers",
			do: configureHeaders, check: all(reservedAs(typeV2, "2.0.0"), requests(2)), wrong: fault{anyHeader: true}},
		{id: "2.0#content-encoding.1", sentence: "Content encoding request header MUST follow the RFC 9110",
			check: headerLike("Content-Encoding", token), wrong: faultHeader("Content-Encoding", "snappy;level=1")},
		{id: "2.0#content-encoding.2", sentence: "Senders MUST use the snappy value",
			check: header("Content-Encoding", "snappy"), wrong: faultHeader("Content-Encoding", "x-snappy")},
		{id: "2.0#content-type.1", sentence: "Content type request header MUST follow the RFC 9110",
			check: mediaTypes(func(string, map[string]string) bool { return true }),
			wrong: faultHeader("Content-Type", "application/x-protobuf;proto")},
		{id: "2.0#content-type.2", sentence: "Senders MUST use application/x-protobuf as the only media type",
			check: mediaTypes(func(name string, _ map[string]string) bool { return name == typeV1 }),
			wrong: faultHeader("Content-Type", "application/protobuf;proto=io.prometheus.write.v2.Request")},
		{id: "2.0#content-type.3", sentence: "Senders MUST send any of the three supported header values",
			check: header("Content-Type", typeV1, typeV1+";proto=prometheus.WriteRequest", typeV2),
			wrong: faultHeader("Content-Type", typeV2+"; charset=utf-8")},
		{id: "2.0#content-type.4", sentence: "When talking to 1.x Receivers, Senders SHOULD use Content-Type: application/x-protobuf",
			protocol: remotewrite.Auto, to: oldReceiver, do: pushTwice,
			check: all(protocols(remotewritetest.V2, remotewritetest.V1, remotewritetest.V1), fallenBack("Content-Type", typeV1)),
			wrong: faultInV1("Content-Type", typeV1+";proto=prometheus.WriteRequest")},
		{id: "2.0#content-type.5", sentence: "Otherwise, Senders SHOULD use Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request",
			check: header("Content-Type", typeV2), wrong: faultHeader("Content-Type", typeV1)},
		{id: "2.0#version.1", sentence: "When talking to 1.x Receivers, Senders MUST use X-Prometheus-Remote-Write-Version: 0.1.0",
			protocol: remotewrite.Auto, to: oldReceiver, do: pushTwice,
			check: all(protocols(remotewritetest.V2, remotewritetest.V1, remotewritetest.V1), fallenBack("X-Prometheus-Remote-Write-Version", "0.1.0")),
			wrong: faultInV1("X-Prometheus-Remote-Write-Version", "2.0.0")},
		{id: "2.0#version.2", sentence: "Otherwise, Senders SHOULD use the newest Remote-Write version it is compatible with e.g. 2.0.0",
			check: header("X-Prometheus-Remote-Write-Version", "2.0.0"), wrong: faultHeader("X-Prometheus-Remote-Write-Version", "0.1.0")},
		{id: "2.0#user-agent.1", sentence: "Senders MUST include a user agent header",
			check: headerThere("User-Agent"), wrong: faultHeader("User-Agent", "")},
		{id: "2.0#user-agent.2", sentence: "(a user agent header) that SHOULD follow the RFC 9110 User-Agent header format",
			check: headerLike("User-Agent", product), wrong: faultHeader("User-Agent", "exporter@1.2.3")},
	}
}

func responseV2() []rule {
	return []rule{
		{id: "2.0#response.1", sentence: "Senders MUST ignore the response body",
			answers: []remotewritetest.Answer{{Status: 200, Body: "0 of 12 samples written, please send them again"}},
			check:   all(requests(1), deliveredSeries(12)), wrong: fault{verdict: func(_ remotewrite.Protocol, a *reply) (verdict, bool) {
				return refused, a.status == 200 && a.body != ""
			}}},
		{id: "2.0#response.2", sentence: "Senders MUST NOT try and interpret the error message",
			answers: misleading, do: pushOnEach(2), check: attempts(1, 2), wrong: faultInterprets},
		{id: "2.0#response.3", sentence: "and SHOULD log it as is",
			answers: answer(1, 400, strangeError), check: logged(strangeError), wrong: fault{quiet: true}},
		{id: "2.0#written.1", sentence: "Senders MUST NOT assume the same (0 written where there is no header) when using prometheus.WriteRequest",
			protocol: remotewrite.V1, check: all(requests(1), deliveredSeries(12)),
			wrong: fault{verdict: func(_ remotewrite.Protocol, a *reply) (verdict, bool) { return refused, !a.written() }}},
		{id: "2.0#written.2", sentence: "Senders SHOULD assume 415 when receiving 2xx but none of the Written response headers",
			protocol: remotewrite.Auto, to: remotewritetest.Options{Protocols: oldReceiver.Protocols, Unaware: true},
			check: all(protocols(remotewritetest.V2, remotewritetest.V1), stored(12, 1), deliveredSeries(12)), wrong: faultVerdict(accepted, 204)},
		{id: "2.0#written.3", sentence: "Senders MUST NOT assume what Remote Write specification version the Receiver implements from the response headers",
			protocol: remotewrite.Auto, do: pushTwice,
			answers: []remotewritetest.Answer{{Header: http.Header{
				"X-Prometheus-Remote-Write-Version": {"0.1.0"}, remotewritetest.SamplesWritten: {"12"},
			}}},
			check: all(protocols(remotewritetest.V2, remotewritetest.V2), stored(12, 2)), wrong: faultFollowsVersion},
		{id: "2.0#partial-write.1", sentence: "Senders SHOULD use Remote-Write to send samples for multiple series in a single request",
			check: all(requests(1), stored(12, 1)), wrong: fault{alone: true}},
		{id: "2.0#unsupported.1", sentence: "Senders SHOULD expect 400 HTTP Bad Request for the above reasons (415) from 1.x Receivers",
			protocol: remotewrite.Auto, answers: answer(1, 400, "proto: wrong wireType = 2 for field Source"),
			check: all(protocols(remotewritetest.V2, remotewritetest.V1), stored(12, 1), deliveredSeries(12)), wrong: faultVerdict(refused, 400)},
		{id: "2.0#invalid-samples.1", sentence: "Senders MUST NOT retry on a 4xx HTTP status codes (other than 429)",
			answers: final, do: pushOnEach(len(final)), check: all(requests(len(final)), deliveredSeries(0)), wrong: faultVerdict(again, 408)},
	}
}

func retriesV2() []rule {
	return []rule{
		{id: "2.0#retries.1", sentence: "Senders MUST retry write requests on 5xx HTTP",
			answers: []remotewritetest.Answer{{Status: 500}, {Status: 502}, {Status: 503}, {Status: 504}, {Status: 599}},
			check:   all(requests(6), sameBytes, stored(12, 1), deliveredSeries(12)), wrong: faultVerdict(refused, 599)},
		{id: "2.0#retries.2", sentence: "Senders MUST use a backoff algorithm to prevent overwhelming the server",
			answers: answer(6, 500, ""), check: growing, wrong: fault{wait: func(int) time.Duration { return 50 * time.Millisecond }}},
		{id: "2.0#compatibility.1", sentence: "any 2.x compatible Receiver MUST be able to read any 2.x compatible Senders and vice versa",
			check: all(stored(12, 1), noViolations), wrong: fault{raw: plainText}},
	}
}

// schemaV2 requires a 2.0 message with 2.0's Content-Type, and that the strict
// receiver found nothing outside the schema.
func schemaV2(m *message) error {
	if m.Violation != "" || m.Header.Get("Content-Type") != typeV2 {
		return fmt.Errorf("%s, %s", m.Header.Get("Content-Type"), m.Violation)
	}
	return nil
}

func headerThere(name string) func(*scene) error {
	return each(func(m *message) error {
		if got := m.Header.Values(name); len(got) != 1 || got[0] == "" {
			return fmt.Errorf("header %s is %q", name, got)
		}
		return nil
	})
}

// mediaTypes requires a Content-Type that can be parsed and for which holds is true.
func mediaTypes(holds func(name string, params map[string]string) bool) func(*scene) error {
	return each(func(m *message) error {
		name, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err == nil && !holds(name, params) {
			err = fmt.Errorf("media type %s %v", name, params)
		}
		return err
	})
}

// fallenBack requires a header of the requests after the first, and that the receiver
// has all series.
func fallenBack(name, value string) func(*scene) error {
	return all(stored(12, 2), func(s *scene) error {
		for _, w := range s.messages[1:] {
			if got := w.Header.Get(name); got != value {
				return fmt.Errorf("header %s is %q, want %q", name, got, value)
			}
		}
		return nil
	})
}

// faultInV1 sets a header of 1.0 requests.
func faultInV1(name, value string) fault {
	return faultRequest(func(r *http.Request) {
		if r.Header.Get("Content-Type") == typeV1 {
			r.Header.Set(name, value)
		}
	})
}
