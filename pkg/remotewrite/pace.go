package remotewrite

import (
	"context"
	"time"
)

// SetRate bounds how fast the next pushes together send, in samples per second; 0 is no bound.
// Pushes become slower by it and not shorter: it is kept during the first half of the time that
// the deadline leaves, and whatever is left then goes as fast as the receiver takes it. It must
// not be called while a Push is in progress.
func (s *Sender) SetRate(samplesPerSecond float64) { s.pace.rate = samplesPerSecond }

// pace spreads the batches of all pushes over time.
type pace struct {
	rate float64 // samples per second; 0 is no bound
	// next is when the next batch may be sent, of this push or the next one.
	next time.Time
	// until is when this push stops keeping to the rate; zero means never.
	until time.Time
	// exceeded is set once a batch of this push was sent earlier than the rate allows.
	exceeded bool
}

// begin begins a push.
func (p *pace) begin(ctx context.Context) {
	p.until, p.exceeded = time.Time{}, false
	if deadline, bounded := ctx.Deadline(); bounded {
		p.until = time.Now().Add(time.Until(deadline) / 2)
	}
}

// wait waits until a batch may be sent.
func (p *pace) wait(ctx context.Context, samples int) {
	if p.rate <= 0 {
		return
	}
	at := time.Now()
	if p.next.After(at) {
		at = p.next
	}
	if !p.until.IsZero() && at.After(p.until) {
		at, p.exceeded = p.until, true
	}
	p.next = at.Add(time.Duration(float64(samples) / p.rate * float64(time.Second)))
	if d := time.Until(at); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
