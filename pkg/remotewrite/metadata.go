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
// memory, if at all, so they are repeated now and then.
type metadataSchedule struct {
	interval time.Duration
	sent     time.Time // when they were accepted last
	failing  bool      // the last attempt failed, and that has been logged
}

func (m *metadataSchedule) due(now time.Time) bool {
	return m.sent.IsZero() || now.Sub(m.sent) >= m.interval
}

// pushMetadata sends HELP and TYPE of the families if they are due. They go
// after the series, in a request of their own and with one attempt: they are
// never worth losing a series for. What fails is due again with the next push.
func (s *Sender) pushMetadata(ctx context.Context, families []*metrics.Family) {
	if len(families) == 0 || !s.metadata.due(time.Now()) || ctx.Err() != nil {
		return
	}
	if err := s.sendMetadata(ctx, families); err != nil {
		level := slog.LevelWarn
		if s.metadata.failing {
			level = slog.LevelDebug // said once is enough
		}
		s.metadata.failing = true
		s.log.Log(ctx, level, "metadata not delivered, trying again with the next push", slog.Any("error", err))
		return
	}
	s.metadata.sent, s.metadata.failing = time.Now(), false
}

func (s *Sender) sendMetadata(ctx context.Context, families []*metrics.Family) error {
	raw, err := encodeMetadata(families)
	if err != nil {
		return err
	}
	a, err := s.post(ctx, compress(nil, raw))
	switch {
	case err != nil:
		return fmt.Errorf("remote write of metadata to %s: %w", s.logURL, err)
	case judge(a.status) != accepted:
		return fmt.Errorf("remote write of metadata to %s: HTTP %d %q", s.logURL, a.status, a.body)
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
