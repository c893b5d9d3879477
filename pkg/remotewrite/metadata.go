package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// metadataSchedule decides when HELP and TYPE are due. A receiver keeps them in
// memory, if at all, so they are repeated now and then. Each family has its own
// time, since not all pushes have the same families.
type metadataSchedule struct {
	interval time.Duration
	accepted map[string]time.Time // by family name
}

// due returns the families that are due.
func (m *metadataSchedule) due(now time.Time, families []*metrics.Family) []*metrics.Family {
	var due []*metrics.Family
	for _, f := range families {
		if at, ok := m.accepted[f.Name]; !ok || now.Sub(at) >= m.interval {
			due = append(due, f)
		}
	}
	return due
}

// push sends HELP and TYPE of the families that are due. They go after the series,
// in a request of their own with one attempt: they are not worth losing a series
// for. After a failure they are due again with the next push.
//
// That is how Prometheus sends them with 1.0, whose specification has no place for
// them yet. 2.0 has them in each series.
func (m *metadataSchedule) push(ctx context.Context, d *delivery, families []*metrics.Family) {
	due := m.due(time.Now(), families)
	// A receiver that did not answer for all series has no time for these either, and one
	// that refused all would refuse these.
	useless := d.account.unanswered || d.account.push.Accepted == 0 && d.account.failed.Series > 0
	if d.discard || len(due) == 0 || ctx.Err() != nil || useless || d.current() != V1 {
		return
	}
	if err := d.sendMetadata(ctx, due); err != nil {
		d.log.WarnContext(ctx, "metadata not delivered, trying again with the next push", slog.Any("error", err))
		return
	}
	if m.accepted == nil {
		m.accepted = make(map[string]time.Time)
	}
	for _, f := range due {
		m.accepted[f.Name] = time.Now()
	}
}

func (d *delivery) sendMetadata(ctx context.Context, families []*metrics.Family) error {
	raw, err := wire.EncodeMetadata(families)
	if err != nil {
		return err
	}
	resp, _, err := d.attempt(ctx, V1, compress(nil, raw), false)
	if err == nil && judge(resp.status) != accepted {
		err = fmt.Errorf("HTTP %d %q", resp.status, resp.body)
	}
	if err != nil {
		return fmt.Errorf("remote write of metadata to %s: %w", d.logURL, err)
	}
	return nil
}
