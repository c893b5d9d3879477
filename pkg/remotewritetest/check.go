package remotewritetest

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// violation is a rule that a request breaks.
type violation struct {
	status int
	text   string
}

func (v *violation) Error() string { return v.text }

func broken(format string, args ...any) error {
	return &violation{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// unwilling is why a request that breaks no rule is not accepted, or only in part.
type unwilling struct {
	status int
	text   string
}

func (u *unwilling) Error() string { return u.text }

func tooLarge(format string, args ...any) error {
	return &unwilling{http.StatusRequestEntityTooLarge, fmt.Sprintf(format, args...)}
}

// userAgent is a product and its version, RFC 9110 section 10.1.5.
var userAgent = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+/[!#$%&'*+.^_|~0-9A-Za-z-]+( .*)?$`)

// check checks one request by itself. readErr is the error of reading data. The content
// is returned as a 1.0 message for both protocols; raw is its uncompressed size.
func (r *Receiver) check(req *http.Request, p Protocol, data []byte, readErr error) (body prompb.WriteRequest, raw int, err error) {
	if err := checkHeaders(req, p); err != nil {
		return body, 0, err
	}
	if readErr != nil {
		return body, 0, readErr
	}
	// Before the body is decoded, as a gateway does.
	if r.opts.SigV4 != nil {
		if err := r.opts.SigV4.Verify(req, data); err != nil {
			return body, 0, err
		}
	}
	decoded, err := r.uncompress(data)
	if err != nil {
		return body, 0, err
	}
	if p == V2 {
		body, err = decodeV2(decoded)
	} else {
		body, err = decodeV1(decoded)
	}
	if err != nil {
		return body, len(decoded), err
	}
	if r.opts.MaxSeries > 0 && len(body.Timeseries) > r.opts.MaxSeries {
		return body, len(decoded), tooLarge("%d series in a request, at most %d are accepted", len(body.Timeseries), r.opts.MaxSeries)
	}
	return body, len(decoded), checkBody(body)
}

func checkHeaders(req *http.Request, p Protocol) error {
	if req.Method != http.MethodPost {
		return broken("method %s, want POST", req.Method)
	}
	for _, h := range wanted[p] {
		if got := req.Header.Values(h.name); len(got) != 1 || got[0] != h.value {
			return broken("header %s is %q, want exactly %q", h.name, got, h.value)
		}
	}
	if got := req.Header.Get("User-Agent"); !userAgent.MatchString(got) {
		return broken("header User-Agent is %q, want NAME/VERSION", got)
	}
	return nil
}

func (r *Receiver) uncompress(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\xff\x06\x00\x00sNaPpY")) {
		return nil, broken("body is in snappy's framing format, want the block format")
	}
	n, err := snappy.DecodedLen(data)
	if err != nil {
		return nil, broken("body is not in snappy's block format: %v", err)
	}
	if n > r.opts.MaxBytes {
		return nil, tooLarge("body of %d bytes, at most %d are accepted", n, r.opts.MaxBytes)
	}
	decoded, err := snappy.Decode(nil, data)
	if err != nil {
		return nil, broken("body is not in snappy's block format: %v", err)
	}
	return decoded, nil
}

// checkBody checks the rules about content that are the same in both protocols.
func checkBody(body prompb.WriteRequest) error {
	if len(body.Timeseries) == 0 && len(body.Metadata) == 0 {
		return broken("neither series nor metadata in the request")
	}
	seen := make(map[string]bool, len(body.Timeseries))
	for i, ts := range body.Timeseries {
		if err := checkLabels(ts.Labels); err != nil {
			return broken("series %d: %v", i, err)
		}
		// 2.0 allows it only for what this receiver does not accept: exemplars and
		// different start timestamps.
		key := seriesKey(ts.Labels)
		if seen[key] {
			return broken("series %d: %v twice in a request", i, ts.Labels)
		}
		seen[key] = true
		if len(ts.Samples) == 0 {
			return broken("series %d: %v has no sample", i, ts.Labels)
		}
		for k := 1; k < len(ts.Samples); k++ {
			if ts.Samples[k].Timestamp <= ts.Samples[k-1].Timestamp {
				return broken("series %d: samples are not in the order of time", i)
			}
		}
	}
	return checkMetadata(body.Metadata)
}

var (
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
)

// The default limits of Cortex, which AMP has, too.
const (
	maxName  = 1024
	maxValue = 2048
	maxHelp  = 1024
)

// checkLabels: https://prometheus.io/docs/specs/prw/remote_write_spec/#labels
//
// 2.0 allows any UTF-8 in names and says that a sender SHOULD use only the characters of
// 1.0. A sender to any receiver must.
func checkLabels(labels []prompb.Label) error {
	name := ""
	for i, l := range labels {
		switch {
		case l.Name == "":
			return fmt.Errorf("a label without a name")
		case !labelName.MatchString(l.Name):
			return fmt.Errorf("label name %q has characters that are not allowed", l.Name)
		case len(l.Name) > maxName:
			return fmt.Errorf("label name of %d bytes, at most %d are allowed", len(l.Name), maxName)
		case l.Value == "":
			return fmt.Errorf("label %s has an empty value", l.Name)
		case len(l.Value) > maxValue:
			return fmt.Errorf("label %s has a value of %d bytes, at most %d are allowed", l.Name, len(l.Value), maxValue)
		case !utf8.ValidString(l.Value):
			return fmt.Errorf("label %s has a value that is not UTF-8", l.Name)
		case i > 0 && l.Name == labels[i-1].Name:
			return fmt.Errorf("label %s twice", l.Name)
		case i > 0 && l.Name < labels[i-1].Name:
			return fmt.Errorf("label %s after %s: not sorted", l.Name, labels[i-1].Name)
		}
		if l.Name == "__name__" {
			name = l.Value
		}
	}
	switch {
	case name == "":
		return fmt.Errorf("no label __name__")
	case !metricName.MatchString(name):
		return fmt.Errorf("metric name %q has characters that are not allowed", name)
	}
	return nil
}

func checkMetadata(all []prompb.MetricMetadata) error {
	seen := make(map[string]bool, len(all))
	for _, m := range all {
		switch {
		case !metricName.MatchString(m.MetricFamilyName):
			return broken("metadata: metric family name %q has characters that are not allowed", m.MetricFamilyName)
		case seen[m.MetricFamilyName]:
			return broken("metadata: %s twice", m.MetricFamilyName)
		case m.Type == prompb.MetricMetadata_UNKNOWN:
			return broken("metadata: %s has no type", m.MetricFamilyName)
		case len(m.Help) > maxHelp:
			return broken("metadata: HELP of %s has %d bytes, at most %d are allowed", m.MetricFamilyName, len(m.Help), maxHelp)
		case !utf8.ValidString(m.Help):
			return broken("metadata: HELP of %s is not UTF-8", m.MetricFamilyName)
		}
		seen[m.MetricFamilyName] = true
	}
	return nil
}
