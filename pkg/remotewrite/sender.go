// Package remotewrite sends series to a Prometheus remote-write endpoint and
// accounts for every one of them.
//
// The caller's goroutine encodes series straight into the buffer of a batch. A
// fixed number of batches go round between it and the workers that compress and
// send them, so memory does not grow with the number of series, and a slow
// receiver holds the caller back. Nothing that Push starts outlives it.
package remotewrite

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	// DefaultMaxBytes keeps below the 1 MB that AMP takes at most.
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
	// Protocol is the version to speak: V1, V2 or Auto. The default is V1.
	Protocol Protocol
	// Client sends the requests; its transport authenticates them (see pkg/auth).
	// Redirects are not followed unless it has a CheckRedirect of its own. The
	// default has a transport made by NewTransport and does not authenticate.
	Client *http.Client
	// Timeout bounds one attempt, from its start to the end of the answer.
	Timeout time.Duration
	// MaxBytes is the size of a request body before compression that no batch
	// exceeds. A Sender whose batch was too large for the receiver (413) keeps to
	// the size of the largest part that was not, from then on.
	MaxBytes int
	// MaxSeries is the number of series that no batch exceeds.
	MaxSeries int
	// Limits are what the receiver takes of a series' labels.
	Limits Limits
	// Concurrency is the number of requests that may be under way at once. It is
	// halved when the receiver is overloaded (429, 5xx), grows back with its
	// successes, and is remembered from push to push. One batch more than that is
	// held in memory, each with MaxBytes and its compressed form.
	Concurrency int
	// Discard has batches built and compressed, and counted as accepted, without
	// sending them: for measuring. With Auto they are those of 1.0, which every
	// receiver takes.
	Discard bool
	// Version is that of the program, for the User-Agent ecr-remote-write/VERSION.
	// The default is "dev".
	Version string
	// Logger takes warnings about refused batches and dropped series: one when a
	// kind of trouble begins and one when it is over. The default discards them.
	Logger *slog.Logger
	// MinBackoff and MaxBackoff bound the wait between two attempts.
	MinBackoff, MaxBackoff time.Duration
	// MaxRetryAfter caps the wait that a receiver may ask for with Retry-After.
	MaxRetryAfter time.Duration
	// RetryFor bounds the time for which one batch is tried, where the deadline of
	// Push's context is farther away or missing.
	RetryFor time.Duration
	// MetadataInterval is the least time between two accepted pushes of HELP and
	// TYPE.
	MetadataInterval time.Duration
}

// Sender pushes series to one endpoint. It lives as long as the process, and
// does one Push at a time.
type Sender struct {
	url       *url.URL
	logURL    string // without query and user info
	client    *http.Client
	discard   bool
	timeout   time.Duration
	maxBytes  int
	maxSeries int
	workers   int
	userAgent string
	log       *slog.Logger
	backoff   backoff
	retryFor  time.Duration
	rules     rules

	// free holds the batches that are not in use: all of them between pushes.
	free chan *batch

	// What is learned about the receiver and kept from push to push.
	speech   *negotiation
	limit    *limiter
	fits     atomic.Int64 // the size of a batch that it takes, at most maxBytes
	metadata metadataSchedule
	drops    standing // series dropped before sending
	failures standing // answers and their absence
}

// New returns a Sender. The error names every option that is wrong.
func New(o Options) (*Sender, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("setting up remote write: %w", err)
	}
	if orDefault(&o.Protocol, V1); o.Discard && o.Protocol == Auto {
		o.Protocol = V1
	}
	orDefault(&o.Timeout, DefaultTimeout)
	orDefault(&o.MaxBytes, DefaultMaxBytes)
	orDefault(&o.MaxSeries, DefaultMaxSeries)
	orDefault(&o.Concurrency, DefaultConcurrency)
	orDefault(&o.Version, "dev")
	orDefault(&o.Logger, slog.New(slog.DiscardHandler))
	orDefault(&o.MinBackoff, DefaultMinBackoff)
	orDefault(&o.MaxBackoff, DefaultMaxBackoff)
	orDefault(&o.MaxRetryAfter, DefaultMaxRetryAfter)
	orDefault(&o.RetryFor, DefaultRetryFor)
	orDefault(&o.MetadataInterval, DefaultMetadataInterval)

	client := http.Client{Transport: NewTransport(o.Concurrency)}
	if o.Client != nil {
		client = *o.Client
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}

	if o.Discard {
		o.URL = &url.URL{} // of no use
	}
	s := &Sender{
		url:       o.URL,
		discard:   o.Discard,
		logURL:    withoutSecrets(o.URL),
		client:    &client,
		timeout:   o.Timeout,
		maxBytes:  o.MaxBytes,
		maxSeries: o.MaxSeries,
		workers:   o.Concurrency,
		userAgent: "ecr-remote-write/" + o.Version,
		log:       o.Logger,
		backoff:   backoff{min: o.MinBackoff, max: max(o.MinBackoff, o.MaxBackoff), longest: o.MaxRetryAfter},
		retryFor:  o.RetryFor,
		// One more than there are workers, so that one fills while all are sent.
		free:     make(chan *batch, o.Concurrency+1),
		rules:    rules{limits: o.Limits},
		speech:   newNegotiation(o.Protocol),
		limit:    newLimiter(o.Concurrency),
		metadata: metadataSchedule{interval: o.MetadataInterval},
	}
	s.fits.Store(int64(o.MaxBytes))
	for range cap(s.free) {
		s.free <- new(batch)
	}
	return s, nil
}

// Endpoint is the URL that the Sender pushes to, without user info and query: the
// key under which to remember what it has Spoken.
func (s *Sender) Endpoint() string { return s.logURL }

// Spoken is the version that the Sender speaks: V1 or V2. With Auto it is empty
// until an answer has shown what the receiver takes.
func (s *Sender) Spoken() Protocol { return s.speech.now() }

// Assume tells a Sender with Auto what another has Spoken to the same Endpoint, so
// that it need not find out anew. If it no longer holds, that is noticed: a
// receiver that does not take 2.0 gets 1.0, and a 415 to 1.0 has the next batch
// find out again. Assume does nothing if the Sender knows already, if Protocol is
// not Auto, or if p is neither V1 nor V2.
func (s *Sender) Assume(p Protocol) { s.speech.assume(p) }

func (o *Options) validate() error {
	var errs []error
	switch {
	case o.Discard:
	case o.URL == nil:
		errs = append(errs, errors.New("no URL"))
	case o.URL.Scheme != "http" && o.URL.Scheme != "https", o.URL.Host == "":
		errs = append(errs, fmt.Errorf("URL %s: must be http://HOST… or https://HOST…", withoutSecrets(o.URL)))
	}
	switch o.Protocol {
	case "", V1, V2, Auto:
	default:
		errs = append(errs, fmt.Errorf("Protocol %q: must be %s, %s or %s", o.Protocol, V1, V2, Auto))
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
		{"MetadataInterval", int64(o.MetadataInterval)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", n.name))
		}
	}
	return errors.Join(errs...)
}

func orDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// withoutSecrets returns the URL for logs and errors: without user info, query
// and fragment, any of which may hold a secret.
func withoutSecrets(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// NewTransport returns a transport for a Sender with the given concurrency, for
// the authentication of pkg/auth to stand on: as many connections are kept as
// there are requests at once, header sizes are bounded, and answers are not
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
