package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// metadataSchedule knows when HELP and TYPE are due. A receiver keeps them in
// memory, if at all, so they are repeated now and then. Each family has its own
// time, since not all pushes have the same families.
type metadataSchedule struct {
	interval time.Duration
	families map[string]familyState // by name
}

type familyState struct {
	sent    time.Time // when it was accepted last
	failing bool      // the last attempt failed, and that has been logged
}

// due returns the families that are due, and whether all of these are known to
// fail.
func (m *metadataSchedule) due(now time.Time, families []*metrics.Family) (due []*metrics.Family, failing bool) {
	failing = true
	for _, f := range families {
		state := m.families[f.Name]
		if state.sent.IsZero() || now.Sub(state.sent) >= m.interval {
			due = append(due, f)
			failing = failing && state.failing
		}
	}
	return due, failing
}

func (m *metadataSchedule) set(families []*metrics.Family, state familyState) {
	if m.families == nil {
		m.families = make(map[string]familyState)
	}
	for _, f := range families {
		m.families[f.Name] = state
	}
}

// pushMetadata sends HELP and TYPE of the families that are due. They go after
// the series, in a request of their own and with one attempt: they are never
// worth losing a series for. What fails is due again with the next push.
//
// That is how Prometheus sends them with 1.0, whose specification has no place
// for them yet. 2.0 has them in each series.
func (p *push) pushMetadata(ctx context.Context, families []*metrics.Family) {
	due, failing := p.metadata.due(time.Now(), families)
	// A receiver that could not take all series has no time for these either.
	if p.discard || len(due) == 0 || ctx.Err() != nil || p.tally.report.NotSent > 0 || p.Spoken() != V1 {
		return
	}
	if err := p.sendMetadata(ctx, due); err != nil {
		level := slog.LevelWarn
		if failing {
			level = slog.LevelDebug // said once is enough
		}
		p.metadata.set(due, familyState{failing: true})
		p.log.Log(ctx, level, "metadata not delivered, trying again with the next push", slog.Any("error", err))
		return
	}
	p.metadata.set(due, familyState{sent: time.Now()})
}

func (p *push) sendMetadata(ctx context.Context, families []*metrics.Family) error {
	raw, err := encodeMetadata(families)
	if err != nil {
		return err
	}
	round, ok := p.limit.acquire(ctx)
	if !ok {
		return fmt.Errorf("remote write of metadata to %s: %w", p.logURL, neverTried(ctx))
	}
	p.tally.attempt(false)
	a, err := p.post(ctx, v1{}, compress(nil, raw))
	p.limit.release(round, loadOf(a, err))
	p.tally.answered(a)
	switch {
	case err != nil:
		return fmt.Errorf("remote write of metadata to %s: %w", p.logURL, err)
	case judge(a.status) != accepted:
		return fmt.Errorf("remote write of metadata to %s: HTTP %d %q", p.logURL, a.status, a.body)
	}
	return nil
}

// encodeMetadata returns a WriteRequest that holds metadata and no series. It
// is a request an hour, so it is left to prompb.
func encodeMetadata(families []*metrics.Family) ([]byte, error) {
	var req prompb.WriteRequest
	for _, f := range families {
		req.Metadata = append(req.Metadata, prompb.MetricMetadata{
			// A type that is not one of these is 0, UNKNOWN.
			Type:             prompb.MetricMetadata_MetricType(prompb.MetricMetadata_MetricType_value[strings.ToUpper(f.Type)]),
			MetricFamilyName: f.Name,
			Help:             f.Help,
		})
	}
	raw, err := req.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding metadata: %w", err)
	}
	return raw, nil
}
