package remotewritetest

import (
	"fmt"
	"net/http"
	"strings"
)

// Recording is a response of a real receiver: status, headers and text. A sender must
// not interpret the texts. The series, tenants and numbers in them are examples.
type Recording struct {
	// Name is receiver, colon and occasion, such as "cortex: out of order".
	Name string
	// Source is where the wording is from.
	Source string
	// Partial is whether the receiver has stored the rest of the batch. The Answer alone
	// does not do so, see Answer.Refuse.
	Partial bool
	Answer
}

// Recordings are the recorded responses of all receivers. No record was found of AMP's
// 413 and 429 with their bodies, and of the X-Amzn-… headers of its 403. For samples AMP
// has Cortex's texts.
func Recordings() []Recording {
	var all []Recording
	for _, group := range []func() []Recording{prometheus, cortex, mimir, thanos, amp, victoriaMetrics} {
		all = append(all, group()...)
	}
	return all
}

// Recorded returns the recorded response of a name. It panics if there is none.
func Recorded(name string) Answer {
	for _, r := range Recordings() {
		if r.Name == name {
			return r.Answer
		}
	}
	panic(fmt.Sprintf("remotewritetest: no recording %q", name))
}

// plain is a response as http.Error writes it.
func plain(status int, text string) Answer {
	return Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}},
		Body:   text + "\n",
	}
}

// with adds a header.
func (a Answer) with(name, value string) Answer {
	a.Header = a.Header.Clone()
	if a.Header == nil {
		a.Header = make(http.Header)
	}
	a.Header.Set(name, value)
	return a
}

// written adds the Written headers of a 2.0 receiver.
func (a Answer) written(samples string) Answer {
	return a.with(SamplesWritten, samples).with(HistogramsWritten, "0").with(ExemplarsWritten, "0")
}

const (
	exampleSeries = `{__name__="aws_ecr_image_size_in_bytes", name="team/service", registry_id="123456789012", tag="v1"}`
	exampleMetric = `aws_ecr_image_size_in_bytes{name="team/service", registry_id="123456789012", tag="v1"}`
)

// prometheus: with 1.0 nothing of a batch with a 400 is stored, with 2.0 the rest is.
func prometheus() []Recording {
	const handler = "github.com/prometheus/prometheus, storage/remote/write_handler.go, storage/interface.go"
	return []Recording{
		{"prometheus: 1.0, out of order", handler, false, plain(400, "out of order sample")},
		{"prometheus: 1.0, duplicate", handler, false, plain(400, "duplicate sample for timestamp")},
		{"prometheus: 1.0, too old", handler, false, plain(400, "too old sample")},
		{"prometheus: 1.0, out of bounds", handler, false, plain(400, "out of bounds")},
		{"prometheus: 2.0, out of order", handler, true, plain(400, "out of order sample for series "+exampleSeries).written("1")},
		{"prometheus: 2.0 not accepted", "github.com/prometheus/client_golang, exp/api/remote/remote_api.go", false,
			plain(415, "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest")},
	}
}

// cortex: the rest of a batch is stored without what the distributor (labels, age) or
// the ingester refuses. The Written headers of 2.0 are right for the former, and 0 for
// the latter (pkg/distributor/distributor.go, pkg/util/push/push.go: such an error has
// no counts). A response to 1.0 has none.
func cortex() []Recording {
	const (
		ingester    = "github.com/cortexproject/cortex, pkg/ingester/ingester.go and limiter.go"
		validation  = "github.com/cortexproject/cortex, pkg/util/validation/errors.go"
		distributor = "github.com/cortexproject/cortex, pkg/distributor/distributor.go"
		push        = "github.com/cortexproject/cortex, pkg/util/push/push.go"
	)
	outOfOrder := plain(400, "user=fake: err: out of order sample. timestamp=2026-11-22T10:30:00.123Z, series="+exampleSeries)
	return []Recording{
		{"cortex: out of order", ingester, true, outOfOrder},
		{"cortex: 2.0, out of order", push, true, outOfOrder.written("0")},
		{"cortex: duplicate", ingester, true, plain(400, "user=fake: err: duplicate sample for timestamp. series="+exampleSeries)},
		{"cortex: out of bounds", ingester, true, plain(400, "user=fake: err: out of bounds. timestamp=2026-11-22T10:30:00.123Z, tsdbHeadMaxTimestamp=2026-11-22T11:45:00Z, series="+exampleSeries)},
		{"cortex: too old for the out-of-order window", ingester, true, plain(400, "user=fake: err: too old sample. timestamp=2026-11-22T10:30:00.123Z, tsdbHeadMaxTimestamp=2026-11-22T11:45:00Z, series="+exampleSeries)},
		{"cortex: series limit", ingester, true, plain(400, "user=fake: per-user series limit of 5000000 exceeded, please contact administrator to raise it (local limit: 5000000 global limit: 0 actual local limit: 5000000)")},
		{"cortex: series limit of a metric", ingester, true, plain(400, "user=fake: per-metric series limit of 50000 exceeded for metric aws_ecr_image_size_in_bytes, please contact administrator to raise it (local limit: 50000 global limit: 0 actual local limit: 50000) for series "+exampleSeries)},
		{"cortex: label value too long", validation, true, plain(400, `label value too long for metric (actual: 2049, limit: 2048) metric: "aws_ecr_image_size_in_bytes{tag=\"xxxx" label name: "tag" label value: "`+strings.Repeat("x", 200)+`"`)},
		{"cortex: too many labels", validation, true, plain(400, "series has too many labels (actual: 31, limit: 30) series: '"+exampleMetric+"'")},
		{"cortex: timestamp too old", validation, true, plain(400, `timestamp too old: 1795343400123 metric: "aws_ecr_image_size_in_bytes"`)},
		{"cortex: timestamp too new", validation, true, plain(400, `timestamp too new: 1795343400123 metric: "aws_ecr_image_size_in_bytes"`)},
		// It has no 413 and no Retry-After.
		{"cortex: too large", "github.com/cortexproject/cortex, pkg/util/http.go", false, plain(400, "received message larger than max (104857601 vs 104857600)")},
		{"cortex: rate", distributor, false, plain(429, "ingestion rate limit (25000) exceeded while adding 5000 samples and 0 metadata")},
		{"cortex: too busy", distributor, false, plain(503, "too many inflight push requests in distributor")},
		{"cortex: 2.0 not enabled", push, false, plain(415, "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest")},
	}
}

// mimir: as Cortex, with its own texts and Retry-After. The Written headers of 2.0 count
// what was received, not what was stored (pkg/distributor/distributor.go counts before
// it pushes).
func mimir() []Recording {
	const (
		ingester    = "github.com/grafana/mimir, pkg/ingester/errors.go, pkg/util/globalerror/user.go"
		distributor = "github.com/grafana/mimir, pkg/distributor/errors.go and push.go, pkg/util/globalerror/user.go"
		validation  = "github.com/grafana/mimir, pkg/distributor/validate.go, pkg/util/globalerror/user.go"

		pushing = "send data to ingesters: failed pushing to ingester mimir-ingester-0: user=anonymous: "
		about   = " The affected sample has timestamp 2026-11-22T10:30:00.123Z and is from series " + exampleMetric
		admin   = ", or contact your service administrator."
	)
	outOfOrder := plain(400, pushing+"the sample has been rejected because another sample with a more recent timestamp has already been ingested and out-of-order samples are not allowed (err-mimir-sample-out-of-order)."+about+" (sampled 1/10)")
	rate := plain(429, "the request has been rejected because the tenant exceeded the ingestion rate limit, set to 10000 items/s with a maximum allowed burst of 200000. This limit is applied on the total number of samples, exemplars and metadata received across all distributors (err-mimir-tenant-max-ingestion-rate). To adjust the related per-tenant limits, configure -distributor.ingestion-rate-limit and -distributor.ingestion-burst-size"+admin)
	return []Recording{
		{"mimir: out of order", ingester + ", github.com/grafana/mimir/issues/10829", true, outOfOrder},
		{"mimir: 2.0, out of order", distributor, true, outOfOrder.written("2")},
		{"mimir: duplicate", ingester, true, plain(400, pushing+"the sample has been rejected because another sample with the same timestamp, but a different value, has already been ingested (err-mimir-sample-duplicate-timestamp)."+about)},
		{"mimir: too old", ingester, true, plain(400, pushing+"the sample has been rejected because its timestamp is too old (err-mimir-sample-timestamp-too-old)."+about)},
		{"mimir: series limit", ingester, true, plain(400, pushing+"per-user series limit of 150000 exceeded (err-mimir-max-series-per-user). To adjust the related per-tenant limit, configure -ingester.max-global-series-per-user"+admin)},
		{"mimir: label value too long", validation, true, plain(400, "received a series whose label value length exceeds the limit, label: 'tag', value: '"+strings.Repeat("x", 200)+"' (truncated) series: 'aws_ecr_image_size_in_bytes' (err-mimir-label-value-too-long). To adjust the related per-tenant limit, configure -validation.max-length-label-value"+admin)},
		// It has no 413.
		{"mimir: too large", distributor, false, plain(400, "the incoming push request has been rejected because its message size of 104857601 bytes (uncompressed) is larger than the allowed limit of 104857600 bytes (err-mimir-distributor-max-write-message-size). To adjust the related limit, configure -distributor.max-recv-msg-size"+admin)},
		{"mimir: rate", distributor, false, rate.with("Retry-After", "6")},
		{"mimir: rate, without Retry-After", distributor, false, rate},
		// A status that is not registered, where -distributor.service-overload-status-code-on-rate-limit-enabled is set.
		{"mimir: rate, as overload", distributor, false, Answer{Status: 529, Header: rate.Header, Body: rate.Body}.with("Retry-After", "6")},
	}
}

// thanos: 409 is the 400 of others. Which part of the batch is stored depends on the
// node of each series. The Written headers of 2.0 come only with a success.
func thanos() []Recording {
	const handler = "github.com/thanos-io/thanos, pkg/receive/handler.go"
	return []Recording{
		{"thanos: out of order", "github.com/huksley/prometheus-remote-write/issues/3", true, plain(409, "store locally for endpoint 127.0.0.1:12907: add 1 samples: out of order sample")},
		{"thanos: out of order, forwarded", "github.com/huksley/prometheus-remote-write/issues/3", true, plain(409, "forwarding request to endpoint 127.0.0.1:12907: rpc error: code = AlreadyExists desc = store locally for endpoint 127.0.0.1:12907: add 1 samples: out of order sample")},
		{"thanos: conflict", "github.com/thanos-io/thanos/issues/3913", true, plain(409, "conflict")},
		{"thanos: too many series", handler, false, plain(413, "too many timeseries")},
		{"thanos: too large", handler, false, plain(413, "write request too large")},
		{"thanos: series limit", handler, false, plain(429, "tenant is above active series limit")},
		{"thanos: replica", handler, false, plain(400, "request replica exceeds receiver replication factor")},
	}
}

// amp is Amazon Managed Service for Prometheus: Cortex behind an API gateway,
// whose errors are JSON, with the key in lower case if it is about the signature and
// capitalized otherwise.
func amp() []Recording {
	json := func(status int, body string) Answer {
		return Answer{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	}
	const quotas = "docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html, in the frame of github.com/cortexproject/cortex, pkg/ingester/limiter.go"
	fromEngine := func(text string) Answer {
		return plain(400, text).with("Server", "amazon").with("X-Amzn-Requestid", "18affa89-6f06-4ec2-918b-3f66bbfbf9b8")
	}
	return []Recording{
		{"amp: out of order", "github.com/vectordotdev/vector/issues/12958", true, fromEngine("user=123456789012_ws-1: err: out of order sample. timestamp=2026-11-22T10:30:00.123Z, series=" + exampleSeries)},
		{"amp: series limit", quotas, true, fromEngine("user=123456789012_ws-1: per-user series limit of 2000000 exceeded, please contact administrator to raise it (local limit: 0 global limit: 2000000 actual local limit: 2000000)")},
		{"amp: no signature", "github.com/prometheus-community/helm-charts/issues/4687", false, json(403, `{"message":"Missing Authentication Token"}`)},
		{"amp: wrong signature", "github.com/grafana/tempo/issues/2973", false, json(403, `{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\n/workspaces/ws-1/api/v1/remote_write\n\ncontent-encoding:snappy\ncontent-type:application/x-protobuf\nhost:aps-workspaces.eu-west-1.amazonaws.com\nx-amz-date:20261122T103000Z\nx-amz-security-token:EXAMPLETOKEN"}`)},
		{"amp: not authorized", "github.com/aws-ia/terraform-aws-eks-blueprints/issues/709", false, json(403, `{"Message":"User: arn:aws:sts::123456789012:assumed-role/exporter/exporter is not authorized to perform: aps:RemoteWrite on resource: arn:aws:aps:eu-west-1:123456789012:workspace/ws-1"}`)},
		{"amp: no workspace", "github.com/aws-observability/aws-otel-collector/issues/2155", false, json(404, `{"Message":"Workspace not found"}`)},
	}
}

// victoriaMetrics ignores the Content-Type.
func victoriaMetrics() []Recording {
	return []Recording{
		{"victoriametrics: 2.0", "observed, v1.122", false, Answer{
			Status: 204, NoWritten: true,
			Refuse: func(Series) string { return "not seen" },
		}},
	}
}
