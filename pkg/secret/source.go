package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// fetchTime bounds reading one secret, retries included. A cold call takes
	// some 200 ms; a function in a VPC without a way to the API finds out here.
	fetchTime = 8 * time.Second
	// failureTime is how long a failure stands for further callers: a push of
	// many batches asks once.
	failureTime = 5 * time.Second
	// againTime is the least time between two reads because of refusals.
	againTime = time.Minute
)

// source is one stored text, and what is known of it.
type source struct {
	reference Reference
	read      func(context.Context) (string, error)
	log       *slog.Logger

	mu     sync.Mutex
	text   *string // nil until it was read once
	stale  bool    // the text was refused
	again  time.Time
	err    error // why there is no text
	failed time.Time
	flight *flight
}

// flight is a read under way.
type flight struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{}
	// Set when done is closed.
	text string
	err  error
}

// known returns the text without reading it.
func (s *source) known() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == nil {
		return "", false
	}
	return *s.text, true
}

// refused notes that the text is of no use, if it is still this one.
func (s *source) refused(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text != nil && *s.text == text {
		s.stale = true
	}
}

// get returns the text. All who ask while it is read wait for the same answer.
func (s *source) get(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	f := s.flight
	if f == nil {
		now := time.Now()
		switch {
		case s.text != nil && (!s.stale || now.Sub(s.again) < againTime):
			defer s.mu.Unlock()
			return *s.text, nil
		case s.text == nil && s.err != nil && now.Sub(s.failed) < failureTime:
			defer s.mu.Unlock()
			return "", s.err
		}
		f = s.start(ctx)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.text, f.err
	case <-ctx.Done():
		s.leave(f)
		return "", ctx.Err()
	}
}

// start begins a read. It does not end with the caller that happened to be first,
// but with the last that waits for it. The lock is held.
func (s *source) start(ctx context.Context) *flight {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	f := &flight{cancel: cancel, done: make(chan struct{})}
	s.flight = f
	go func() {
		defer cancel()
		begin := time.Now()
		text, err := s.read(ctx)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s: %w", fetchTime, err)
		}
		s.end(f, text, err, begin)
		close(f.done)
	}()
	return f
}

// leave counts out a caller that waits no longer. With the last the read is called
// off, and waited for: nothing is under way for a caller that is gone.
func (s *source) leave(f *flight) {
	s.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	if last && s.flight == f {
		s.flight = nil
	}
	s.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

// end keeps what a read brought.
func (s *source) end(f *flight, text string, err error, begin time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.text, f.err = text, err
	if s.flight != f {
		return // it was called off
	}
	s.flight = nil
	attrs := []any{slog.String("secret", s.reference.String()), slog.Duration("took", time.Since(begin))}
	if s.text != nil {
		s.again = time.Now()
		if err != nil {
			// The receiver may have refused for another reason, and with the old
			// text it will say so itself.
			s.log.Warn("secret could not be read again, keeping what is known", append(attrs, slog.Any("error", err))...)
			f.text, f.err = *s.text, nil
			return
		}
		s.log.Info("secret read again after it was refused", append(attrs, slog.Bool("changed", text != *s.text))...)
	} else {
		if err != nil {
			s.err, s.failed = err, time.Now()
			return
		}
		s.log.Debug("secret read", attrs...)
	}
	s.text, s.stale, s.err = &text, false, nil
}
