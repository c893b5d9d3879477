// Package remotewritetest is a strict receiver of Remote-Write 1.0 and 2.0 for
// tests and local runs.
//
// It checks every request against its specification, with prompb, writev2 and its own
// implementation of AWS signatures, never with code of the sender. A broken rule is
// recorded as a violation. Tests read what was stored, and script responses and faults,
// those of real receivers among them (see Recordings).
package remotewritetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// Options are the settings of a Receiver. The zero value is useful.
type Options struct {
	// Protocols are those that it accepts. A valid request of another gets a 415. The
	// default is both.
	Protocols []Protocol
	// Unaware, if V2 is not among Protocols, makes it respond to a valid 2.0 request like
	// a receiver that ignores the Content-Type: decoded as a 1.0 message the body is
	// empty, which is a success. VictoriaMetrics and Prometheus before 2.54 do that.
	Unaware bool
	// Refuse, if set, is called for each series of a request and returns why it is not
	// stored, or an empty text. The other series are stored, and the response is 400 with
	// the first such text: so do Cortex, Mimir, AMP and, for 2.0, Prometheus with samples
	// that are out of order and the like.
	Refuse func(Series) string
	// MaxBytes is the largest accepted request body in uncompressed bytes, as AMP and
	// Cortex count it. A larger one gets a 413. The default is 1,000,000.
	MaxBytes int
	// MaxSeries is the largest accepted number of series in a request; more get a 413.
	// The default is no limit.
	MaxSeries int
	// Burst is the largest number of series in a request that its rate limit lets through;
	// more get a 429, however long the sender waits. The default is no limit.
	Burst int
	// SigV4, if set, is the signature that every request must have.
	SigV4 *SigV4
	// KeepBodies keeps the Body of every Request.
	KeepBodies bool
	// ExpectViolations keeps NewServer and NewPipe from failing the test if it ends with
	// violations.
	ExpectViolations bool
}

// Receiver is a strict remote-write receiver, an http.Handler. It may be used by
// several goroutines.
type Receiver struct {
	opts Options

	mu         sync.Mutex
	script     []Answer
	series     map[string]*Series // by key
	order      []string           // the keys in order of arrival
	metadata   map[string]Metadata
	requests   []Request
	violations []string
	active     int
	maxActive  int
}

// New returns an empty Receiver.
func New(opts Options) *Receiver {
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 1_000_000
	}
	return &Receiver{
		opts:     opts,
		series:   make(map[string]*Series),
		metadata: make(map[string]Metadata),
	}
}

// Request is what is kept of one request, in the order of arrival.
type Request struct {
	// Method, Path and Header are as received, Proto is the HTTP version, such as
	// HTTP/2.0. RemoteAddr identifies the connection.
	Method, Path string
	Header       http.Header
	Proto        string
	RemoteAddr   string
	// Protocol is the one that Content-Type names.
	Protocol Protocol
	// At is when it arrived.
	At time.Time
	// Compressed and Raw are the sizes of the body in bytes, before and after
	// decompression. Raw is 0 if the body could not be read or decompressed.
	Compressed, Raw int
	// Sum is the SHA-256 of the body as received. Body is that body, if it is kept.
	Sum  [sha256.Size]byte
	Body []byte
	// Series is its number of series, Markers that of staleness markers among them, and
	// Metadata that of families with HELP and TYPE.
	Series, Markers, Metadata int
	// Stored is the number of series that were stored by it or before.
	Stored int
	// Status is the response's, 0 if the connection was closed without one.
	Status int
	// Violation is the rule that was broken, empty if none.
	Violation string
}

// ServeHTTP implements http.Handler. Any path will do.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := Request{
		Method: req.Method, Path: req.URL.Path, Header: req.Header.Clone(), Proto: req.Proto, RemoteAddr: req.RemoteAddr,
		Protocol: protocolOf(req.Header), At: time.Now(),
	}
	script := r.begin()

	// Recorded in any case, also if the script aborts the connection with a panic.
	index := r.keep(rec)
	defer func() { r.end(index, rec) }()

	var samples int
	var err error
	if !script.unread() {
		samples, err = r.take(req, &rec, script)
	}
	status, text := http.StatusNoContent, ""
	if err != nil {
		status, text = http.StatusBadRequest, err.Error()
		var v *violation
		if errors.As(err, &v) {
			rec.Violation, status = v.text, v.status
		}
		var u *unwilling
		if errors.As(err, &u) {
			status = u.status
		}
	}
	if script != nil {
		maps.Copy(w.Header(), script.Header)
	}
	if rec.Protocol == V2 && r.opts.speaks(V2) && script.confirms() {
		setWritten(w.Header(), samples)
	}
	if script != nil {
		if !script.aborts() {
			rec.Status = script.Status
		}
		if script.answer(w, req) {
			return
		}
	}
	rec.Status = status
	if text != "" {
		http.Error(w, text, status)
		return
	}
	w.WriteHeader(status)
}

// take reads a request, checks it and stores its accepted series. It fills in rec and
// returns the number of samples written.
func (r *Receiver) take(req *http.Request, rec *Request, script *Answer) (samples int, err error) {
	data, err := readBody(req, r.opts.MaxBytes)
	rec.Compressed, rec.Sum = len(data), sha256.Sum256(data)
	if r.opts.KeepBodies {
		rec.Body = data
	}
	body, raw, err := r.check(req, rec.Protocol, data, err)
	rec.Raw, rec.Series, rec.Metadata = raw, len(body.Timeseries), len(body.Metadata)
	for _, ts := range body.Timeseries {
		if len(ts.Samples) > 0 && math.Float64bits(ts.Samples[0].Value) == staleMarker {
			rec.Markers++
		}
	}
	switch {
	case err != nil:
		return 0, err
	case r.opts.Burst > 0 && rec.Series > r.opts.Burst:
		return 0, &unwilling{http.StatusTooManyRequests, fmt.Sprintf("%d samples in a request, the burst is %d", rec.Series, r.opts.Burst)}
	case !r.opts.speaks(rec.Protocol) && r.opts.Unaware && rec.Protocol == V2:
		return 0, nil
	case !r.opts.speaks(rec.Protocol):
		return 0, unsupported(rec.Protocol)
	case !script.stores():
		return 0, nil
	}
	refuse := r.opts.Refuse
	if script != nil && script.Refuse != nil {
		refuse = script.Refuse
	}
	body, refused := split(body, refuse)
	if err := r.store(body); err != nil {
		return 0, err
	}
	rec.Stored = len(body.Timeseries)
	for _, ts := range body.Timeseries {
		samples += len(ts.Samples)
	}
	return samples, refused
}

// staleMarker are the bits of a staleness marker.
const staleMarker = 0x7ff0000000000002

// split removes the refused series from body, and returns why the first one was.
func split(body prompb.WriteRequest, refuse func(Series) string) (rest prompb.WriteRequest, err error) {
	if refuse == nil {
		return body, nil
	}
	rest.Metadata = body.Metadata
	for _, ts := range body.Timeseries {
		switch text := refuse(seriesOf(ts)); {
		case text == "":
			rest.Timeseries = append(rest.Timeseries, ts)
		case err == nil:
			err = &unwilling{http.StatusBadRequest, text}
		}
	}
	return rest, err
}

func readBody(req *http.Request, limit int) ([]byte, error) {
	// Compression never makes a block larger than this.
	limit = snappy.MaxEncodedLen(limit)
	data, err := io.ReadAll(io.LimitReader(req.Body, int64(limit)+1))
	if err != nil {
		return data, fmt.Errorf("reading the request body: %w", err)
	}
	if len(data) > limit {
		return data, tooLarge("request body too large")
	}
	return data, nil
}

func (r *Receiver) begin() *Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active++
	r.maxActive = max(r.maxActive, r.active)
	if len(r.script) == 0 {
		return nil
	}
	a := r.script[0]
	r.script = r.script[1:]
	return &a
}

func (r *Receiver) keep(rec Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, rec)
	return len(r.requests) - 1
}

func (r *Receiver) end(index int, rec Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	r.requests[index] = rec
	if rec.Violation != "" {
		r.violations = append(r.violations, rec.Violation)
	}
}

// Answer queues responses: the next request gets the first, and so on. Requests beyond
// them get unscripted responses.
func (r *Receiver) Answer(answers ...Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, answers...)
}

// Mend drops the queued responses that are left.
func (r *Receiver) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = nil
}

// Unused is the number of queued responses that are left.
func (r *Receiver) Unused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.script)
}

// Violations are the broken rules, in the order in which the requests ended.
func (r *Receiver) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// Requests are all requests so far, including those in progress.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// MaxActive is the largest number of requests in progress at once.
func (r *Receiver) MaxActive() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.maxActive
}

// Metadata is HELP and TYPE of one metric family.
type Metadata struct {
	// Type is the exposition format's word, such as "gauge".
	Type, Help, Unit string
}

// Metadata returns the latest for each family.
func (r *Receiver) Metadata() map[string]Metadata {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]Metadata, len(r.metadata))
	for name, m := range r.metadata {
		all[name] = m
	}
	return all
}

func metadataOf(m prompb.MetricMetadata) Metadata {
	return Metadata{Type: strings.ToLower(m.Type.String()), Help: m.Help, Unit: m.Unit}
}
