package remotewrite

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// checkDowngrade: the parts together are, to the byte, the message of 1.0 that the
// same series give, and each keeps within the limits if it can.
func checkDowngrade(t testing.TB, stamp int64, series []metrics.Series, limit, maxSeries int) (parts int) {
	t.Helper()
	all, err := downgrade(encodeV2(t, stamp, series), limit, maxSeries)
	if err != nil {
		t.Fatal(err)
	}
	var together []byte
	total := 0
	for raw, n := range all {
		var req prompb.WriteRequest
		if err := req.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		if len(req.Timeseries) != n || n == 0 {
			t.Errorf("%d series said, %d there", n, len(req.Timeseries))
		}
		if n > 1 && len(raw) > limit || maxSeries > 0 && n > maxSeries {
			t.Errorf("%d bytes of %d, %d series of %d", len(raw), limit, n, maxSeries)
		}
		together = append(together, raw...)
		total += n
		parts++
	}
	// A message of 1.0 is its series one after the other.
	if want := encodeV1(t, stamp, series); total != len(series) || !bytes.Equal(together, want) {
		t.Errorf("%d series of %d, bytes\ngot  %x\nwant %x", total, len(series), together, want)
	}
	return parts
}

func TestDowngrade(t *testing.T) {
	t.Parallel()
	for name, series := range encodings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := min(1, len(series))
			if parts := checkDowngrade(t, 5, series, math.MaxInt, 0); parts != want {
				t.Errorf("%d parts without limits, want %d", parts, want)
			}
			if parts := checkDowngrade(t, 5, series, math.MaxInt, 3); parts != (len(series)+2)/3 {
				t.Errorf("%d parts of 3 series", parts)
			}
			checkDowngrade(t, 5, series, 1000, 0)
			if parts := checkDowngrade(t, 5, series, 1, 0); parts != len(series) {
				t.Errorf("%d parts where each series is too large", parts)
			}
		})
	}
}

// TestDowngradeBatch: a full batch becomes larger without its symbols, so that it
// takes more than one message.
func TestDowngradeBatch(t *testing.T) {
	t.Parallel()
	m := v2{}.newMessage()
	m.reset(5)
	var series []metrics.Series
	const limit = 100_000
	for s := range images(10_000) {
		if !m.add(s.Labels, s, limit) {
			break
		}
		s.Labels = slices.Clone(s.Labels)
		series = append(series, s)
	}
	if parts := checkDowngrade(t, 5, series, limit, 0); parts != 2 {
		t.Errorf("%d parts of a batch of %d series", parts, len(series))
	}
}

func TestDowngradeStops(t *testing.T) {
	t.Parallel()
	raw := encodeV2(t, 5, []metrics.Series{gauge(1, "__name__", "a"), gauge(1, "__name__", "b"), gauge(1, "__name__", "c")})
	for stop := 1; stop <= 3; stop++ {
		parts, err := downgrade(raw, math.MaxInt, 1)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range parts {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d parts, stopped after %d", n, stop)
		}
	}
}

func TestDowngradeDamaged(t *testing.T) {
	t.Parallel()
	for name, raw := range damagedV2(t) {
		if _, err := downgrade(raw, math.MaxInt, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
