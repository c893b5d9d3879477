package secret

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// readTimeout bounds one read, retries included. A cold call takes some 200 ms; a
	// function in a VPC without a route to the API finds out here.
	readTimeout = 8 * time.Second
	// readInterval is the minimum time between two reads of one run: with an endpoint that
	// always refuses, or a store that is down, not every request costs one.
	readInterval = 10 * time.Second
)

// source is one stored text and its last read.
type source struct {
	name  string // the reference, without a key
	read  func(context.Context) (string, error)
	log   *slog.Logger
	reads singleflight.Group

	mu     sync.Mutex
	text   *string   // nil until a read succeeded
	stale  bool      // the text was refused
	err    error     // why there is no text
	readAt time.Time // of this run; zero before its first
}

func (s *source) newRun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = time.Time{}
}

// refused records that the text is of no use, if it is still this one.
func (s *source) refused(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = s.stale || s.text != nil && *s.text == text
}

// get returns the text. All who call it during a read wait for the same result, each as
// long as its own context allows.
func (s *source) get(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	result := s.reads.DoChan("", func() (any, error) {
		if s.due() {
			// The read does not end with the caller that happened to be first, and what
			// traces the caller's request (net/http/httptrace) is not for this one.
			s.readNow(context.Background()) //nolint:contextcheck // as above
		}
		return s.last()
	})
	select {
	case r := <-result:
		text, _ := r.Val.(string)
		return text, r.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// due reports whether the text is to be read now.
func (s *source) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.text == nil || s.stale) && time.Since(s.readAt) >= readInterval
}

// last returns the last text, or why there is none.
func (s *source) last() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == nil {
		return "", s.err
	}
	return *s.text, nil
}

func (s *source) readNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	text, err := s.read(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = time.Now()
	log := s.log.With(slog.String("secret", s.name))
	switch {
	case err == nil:
		if s.text != nil {
			log.Info("secret read again after it was refused", slog.Bool("changed", text != *s.text))
		}
		s.text, s.stale, s.err = &text, false, nil
	case s.text != nil:
		// The endpoint may have refused for another reason, and will say so itself.
		log.Warn("secret could not be read again, keeping its last value", slog.Any("error", err))
	default:
		s.err = err
	}
}
