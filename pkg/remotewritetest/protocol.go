package remotewritetest

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
)

// Protocol is a version of Remote-Write.
type Protocol string

// The protocols. The Content-Type determines that of a request, as both
// specifications require.
const (
	V1 Protocol = "1.0"
	V2 Protocol = "2.0"
)

// The headers in which a 2.0 receiver reports how many elements it has written.
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers
const (
	SamplesWritten    = "X-Prometheus-Remote-Write-Samples-Written"
	HistogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written"
	ExemplarsWritten  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

const (
	mediaType = "application/x-protobuf"
	nameV1    = "prometheus.WriteRequest"
	nameV2    = "io.prometheus.write.v2.Request"
)

type header struct{ name, value string }

// wanted are the headers that each specification fixes. 2.0 leaves some choice
// for Content-Type, of which it recommends these values.
// https://prometheus.io/docs/specs/prw/remote_write_spec/#protocol
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#content-type
var wanted = map[Protocol][]header{
	V1: {
		{"Content-Type", mediaType},
		{"Content-Encoding", "snappy"},
		{"X-Prometheus-Remote-Write-Version", "0.1.0"},
	},
	V2: {
		{"Content-Type", mediaType + ";proto=" + nameV2},
		{"Content-Encoding", "snappy"},
		{"X-Prometheus-Remote-Write-Version", "2.0.0"},
	},
}

// protocolOf returns the protocol that the header names. Whether the header is exact is
// checked elsewhere, see wanted.
func protocolOf(h http.Header) Protocol {
	_, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if params["proto"] == nameV2 {
		return V2
	}
	return V1
}

// speaks reports whether requests of p are accepted.
func (o *Options) speaks(p Protocol) bool {
	return len(o.Protocols) == 0 || slices.Contains(o.Protocols, p)
}

// unsupported is the response to another protocol, in the words of Prometheus and
// Cortex.
func unsupported(p Protocol) error {
	got, want := nameV2, nameV1
	if p == V1 {
		got, want = want, got
	}
	return &unwilling{http.StatusUnsupportedMediaType, got + " protobuf message is not accepted by this server; only accepts " + want}
}

// setWritten sets the Written headers for a number of samples, unless there are any.
func setWritten(h http.Header, samples int) {
	for _, name := range []string{SamplesWritten, HistogramsWritten, ExemplarsWritten} {
		if h.Get(name) != "" {
			return
		}
	}
	h.Set(SamplesWritten, strconv.Itoa(samples))
	h.Set(HistogramsWritten, "0")
	h.Set(ExemplarsWritten, "0")
}
