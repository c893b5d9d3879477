// Package remotewrite sends series to a Prometheus remote-write endpoint and
// accounts for every one of them. It does not authenticate (see pkg/auth).
//
// The caller's goroutine encodes series straight into the buffer of a batch. A
// fixed number of batches circulate between it and the workers that compress and
// send them, so memory does not grow with the number of series, and a slow
// receiver slows the caller down. Nothing that Push starts outlives it.
package remotewrite

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// Protocol is a version of Remote-Write, or Auto.
type Protocol string

const (
	// V1 is Remote-Write 1.0.
	V1 = Protocol(wire.V1)
	// V2 is Remote-Write 2.0.
	V2 = Protocol(wire.V2)
	// Auto sends the first batch as 2.0, and again as 1.0 if the receiver turns out
	// not to support it. The result holds for the Sender's life.
	Auto Protocol = "auto"
)

// UnmarshalText reads "1.0", "2.0" or "auto".
func (p *Protocol) UnmarshalText(text []byte) error {
	switch *p = Protocol(text); *p {
	case V1, V2, Auto:
		return nil
	}
	return fmt.Errorf("%q: must be %s, %s or %s", text, V1, V2, Auto)
}

// Limits are the largest labels that are sent.
type Limits = wire.Limits

// Reason is why a series was dropped before sending.
type Reason = wire.Reason

// Reasons are all of them.
var Reasons = wire.Reasons

// Defaults of Options.
const (
	// DefaultMaxBytes is below the 1 MB that AMP accepts at most.
	DefaultMaxBytes         = 900_000
	DefaultMaxSeries        = 5_000
	DefaultConcurrency      = 4
	DefaultTimeout          = 10 * time.Second
	DefaultMinBackoff       = 30 * time.Millisecond
	DefaultMaxBackoff       = 5 * time.Second
	DefaultMaxRetryAfter    = time.Minute
	DefaultRetryFor         = 5 * time.Minute
	DefaultMetadataInterval = time.Hour
)

// Options are the settings of a Sender. A zero field takes its default.
type Options struct {
	// URL is the remote-write endpoint, http or https. Required unless Discard.
	URL *url.URL
	// Protocol is the version to send: V1, V2 or Auto. The default is V1.
	Protocol Protocol
	// Client sends the requests; its transport authenticates them (see pkg/auth).
	// Redirects are not followed unless it has a CheckRedirect of its own. The
	// default has a transport made by NewTransport and does not authenticate.
	Client *http.Client
	// Timeout bounds one attempt, from its start to the end of the response.
	Timeout time.Duration
	// MaxBytes is the largest size of a request body before compression. A Sender
	// whose batch was too large for the receiver (413) keeps to the size of the
	// largest part that was not, from then on.
	MaxBytes int
	// MaxSeries is the largest number of series in a batch.
	MaxSeries int
	// Limits bound the labels of a series.
	Limits Limits
	// Concurrency is the number of requests at once. One more batch than that is held
	// in memory, each with up to MaxBytes and its compressed form.
	Concurrency int
	// Discard has batches built, compressed and counted as accepted without sending
	// them: for measuring. With Auto they are those of 1.0, which every receiver
	// accepts.
	Discard bool
	// Version is that of the program, for the User-Agent ecr-remote-write/VERSION.
	// The default is "dev".
	Version string
	// Logger gets one line a push for each reason for which series were dropped and
	// one for those not delivered. The default discards them.
	Logger *slog.Logger
	// MinBackoff and MaxBackoff bound the wait between two attempts.
	MinBackoff, MaxBackoff time.Duration
	// MaxRetryAfter caps the wait that a receiver may ask for with Retry-After.
	MaxRetryAfter time.Duration
	// RetryFor bounds the time for which one batch is tried, if the deadline of
	// Push's context is later or missing.
	RetryFor time.Duration
	// UnreachableFor bounds the time for which a push is tried while no connection can
	// be made. The default is no limit besides RetryFor.
	UnreachableFor time.Duration
	// Progress, if set, is called with the number of series that have a result: after
	// each request body with nil, and after each attempt that will be repeated with its
	// failure. It is called by several goroutines.
	Progress func(done int, failed *DeliveryError)
	// MetadataInterval is the least time between two accepted pushes of HELP and
	// TYPE.
	MetadataInterval time.Duration
}

// Sender pushes series to one endpoint. It lives as long as the process, and does
// one Push at a time.
type Sender struct {
	endpoint
	maxBytes  int
	workers   int
	validator *wire.Validator
	metadata  metadataSchedule
	pace      pace
	// free holds the batches that are not in use: all of them between pushes.
	free chan *batch
}

// New returns a Sender. The error names every option that is wrong.
func New(o Options) (*Sender, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("setting up remote write: %w", err)
	}
	o.Protocol = cmp.Or(o.Protocol, V1)
	if o.Discard && o.Protocol == Auto {
		o.Protocol = V1
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxSeries = cmp.Or(o.MaxSeries, DefaultMaxSeries)
	o.Concurrency = cmp.Or(o.Concurrency, DefaultConcurrency)
	o.Version = cmp.Or(o.Version, "dev")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MinBackoff = cmp.Or(o.MinBackoff, DefaultMinBackoff)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, DefaultMaxBackoff)
	o.MaxRetryAfter = cmp.Or(o.MaxRetryAfter, DefaultMaxRetryAfter)
	o.RetryFor = cmp.Or(o.RetryFor, DefaultRetryFor)
	o.MetadataInterval = cmp.Or(o.MetadataInterval, DefaultMetadataInterval)
	if o.Progress == nil {
		o.Progress = func(int, *DeliveryError) {}
	}

	httpClient := http.Client{Transport: NewTransport(o.Concurrency)}
	if o.Client != nil {
		httpClient = *o.Client
	}
	if httpClient.CheckRedirect == nil {
		httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if o.Discard {
		o.URL = &url.URL{} // not used
	}
	s := &Sender{
		endpoint: endpoint{
			client: client{
				url: o.URL, logURL: PublicURL(o.URL), http: &httpClient,
				timeout: o.Timeout, userAgent: "ecr-remote-write/" + o.Version,
			},
			negotiation:    newNegotiation(o.Protocol),
			backoff:        backoff{min: o.MinBackoff, max: max(o.MinBackoff, o.MaxBackoff), maxRetryAfter: o.MaxRetryAfter},
			retryFor:       o.RetryFor,
			unreachableFor: o.UnreachableFor,
			progress:       o.Progress,
			maxSeries:      o.MaxSeries,
			discard:        o.Discard,
			log:            o.Logger,
		},
		maxBytes:  o.MaxBytes,
		workers:   o.Concurrency,
		validator: wire.NewValidator(o.Limits),
		metadata:  metadataSchedule{interval: o.MetadataInterval},
		// One more than there are workers, so that one is filled while all are sent.
		free: make(chan *batch, o.Concurrency+1),
	}
	s.fits.Store(int64(o.MaxBytes))
	for range cap(s.free) {
		s.free <- new(batch)
	}
	return s, nil
}

// Endpoint is the URL that the Sender pushes to, without user info and query: the
// key under which to store its Protocol.
func (s *Sender) Endpoint() string { return s.logURL }

// Protocol is the version that the Sender sends: V1 or V2. With Auto it is empty
// until a response has shown what the receiver supports.
func (s *Sender) Protocol() Protocol { return s.current() }

// SetProtocol gives a Sender with Auto the Protocol that another one found for the
// same Endpoint. If it no longer holds, that is noticed: a receiver that does not
// support 2.0 gets 1.0, and after a 415 to 1.0 the next batch is 2.0 again.
// SetProtocol does nothing if the version is known already, if the Sender was not
// made with Auto, or if p is neither V1 nor V2.
func (s *Sender) SetProtocol(p Protocol) { s.set(p) }

func (o *Options) validate() error {
	var errs []error
	switch {
	case o.Discard:
	case o.URL == nil:
		errs = append(errs, errors.New("no URL"))
	case o.URL.Scheme != "http" && o.URL.Scheme != "https", o.URL.Host == "":
		errs = append(errs, fmt.Errorf("URL %s: must be http://HOST… or https://HOST…", PublicURL(o.URL)))
	}
	if err := new(Protocol).UnmarshalText([]byte(cmp.Or(o.Protocol, V1))); err != nil {
		errs = append(errs, fmt.Errorf("Protocol %w", err))
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"Timeout", int64(o.Timeout)},
		{"MaxBytes", int64(o.MaxBytes)},
		{"MaxSeries", int64(o.MaxSeries)},
		{"Limits.Labels", int64(o.Limits.Labels)},
		{"Limits.NameBytes", int64(o.Limits.NameBytes)},
		{"Limits.ValueBytes", int64(o.Limits.ValueBytes)},
		{"Concurrency", int64(o.Concurrency)},
		{"MinBackoff", int64(o.MinBackoff)},
		{"MaxBackoff", int64(o.MaxBackoff)},
		{"MaxRetryAfter", int64(o.MaxRetryAfter)},
		{"RetryFor", int64(o.RetryFor)},
		{"UnreachableFor", int64(o.UnreachableFor)},
		{"MetadataInterval", int64(o.MetadataInterval)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", n.name))
		}
	}
	return errors.Join(errs...)
}

// PublicURL returns the URL for logs and errors: without user info, query and fragment,
// any of which may hold a secret.
func PublicURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// NewTransport returns a transport for a Sender with the given concurrency, to be
// wrapped by the authentication of pkg/auth: as many connections are kept as there
// are requests at once, header sizes are bounded, and responses are not
// decompressed, since no more than the start of one is ever read.
func NewTransport(concurrency int) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if def, ok := http.DefaultTransport.(*http.Transport); ok { // else something has replaced it
		t = def.Clone()
	}
	t.MaxIdleConnsPerHost = concurrency
	t.MaxResponseHeaderBytes = 64 << 10
	t.DisableCompression = true
	return t
}
