package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
)

// settle counts what became of a piece. What it lost is logged once for each kind
// of failure: as an error when it is news, else for debugging.
func (p *push) settle(m piece, out outcome, f fate) {
	if out.err == nil {
		out.err = f.err
	}
	e := p.deliveryError(m, out, f)
	first := p.tally.settle(f, e, m.span)
	if f.odd != "" {
		p.complain(slog.LevelWarn, f.odd, e)
	}
	if !first {
		return
	}
	text := "series not delivered"
	switch {
	case f.unconfirmed > 0:
		text = "series not confirmed"
	case f.accepted > 0:
		text = "series not all written"
	}
	p.complain(slog.LevelError, text, e)
}

// complain logs what is wrong with a piece, at the level if it is news.
func (p *push) complain(level slog.Level, text string, e *DeliveryError) {
	about := []slog.Attr{slog.String("trouble", text), slog.Int("status", e.Status), slog.String("body", e.Body)}
	if !p.failures.raise(fmt.Sprint(text, " ", e.Status), e.wording(), about...) {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{slog.Int("status", e.Status), slog.String("body", e.Body), slog.Any("error", e)}
	if e.Sent > 0 {
		attrs = append(attrs, slog.Int("sent", e.Sent), slog.Int("written", e.Written))
	}
	p.log.LogAttrs(context.Background(), level, text, attrs...)
}

func (p *push) deliveryError(m piece, out outcome, f fate) *DeliveryError {
	e := &DeliveryError{
		URL: p.logURL, Protocol: m.proto, Attempts: out.attempts,
		Series: f.lost(), Unconfirmed: f.unconfirmed, Err: out.err,
	}
	if out.last != nil {
		e.Status, e.Body, e.RetryAfter = out.last.status, out.last.body, out.last.retryAfter
	}
	if f.counted {
		e.Sent, e.Written = m.series, f.accepted
	}
	return e
}

// conclude logs one example of each reason for which series were dropped, unless
// the last push had that reason too, and what is over by now.
func (p *push) conclude() {
	r := &p.tally.report
	for _, d := range p.tally.examples {
		reason := slog.String("reason", string(d.fault.reason))
		level := slog.LevelWarn
		if !p.drops.raise(string(d.fault.reason), "", slog.String("trouble", "series dropped before sending"), reason) {
			level = slog.LevelDebug
		}
		p.log.LogAttrs(context.Background(), level, "series dropped before sending", reason,
			slog.Int("series", r.Dropped[d.fault.reason]),
			slog.Group("example",
				slog.String("metric", d.metric),
				slog.String("label", d.fault.label),
				slog.Int("length", d.fault.length)))
	}
	over := append(p.drops.pushed(r.Series > 0), p.failures.pushed(r.Accepted > 0)...)
	for _, t := range over {
		p.log.LogAttrs(context.Background(), slog.LevelInfo, "remote write trouble is over",
			append(t.about, slog.Time("since", t.since), slog.Int("pushes", t.pushes))...)
	}
}
