package remotewrite

import (
	"context"
	"time"
)

// SetRate bounds how fast the next pushes send, in samples per second; 0 is no bound. Pushes
// become slower by it and not shorter: it is kept during the first half of the time that the
// deadline leaves, and whatever is left then goes as fast as the receiver takes it. It must not
// be called while a Push is in progress.
func (s *Sender) SetRate(samplesPerSecond float64) { s.rate = samplesPerSecond }

// pace spreads the batches of a push over time.
type pace struct {
	rate  float64 // samples per second; 0 is no bound
	begun time.Time
	// until is when the rate ends to matter; zero means never.
	until time.Time
	sent  int // samples
	// exceeded is set once a batch was sent earlier than the rate allows.
	exceeded bool
}

// wait waits until a batch may be sent.
func (p *pace) wait(ctx context.Context, samples int) {
	if p.rate <= 0 {
		return
	}
	at := p.begun.Add(time.Duration(float64(p.sent) / p.rate * float64(time.Second)))
	if p.sent += samples; !p.until.IsZero() && at.After(p.until) {
		at, p.exceeded = p.until, true
	}
	if d := time.Until(at); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
