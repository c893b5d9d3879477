package exporter

import (
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// TestMarkersAllAnswered: markers are due until they are answered, unless there are too many.
func TestMarkersAllAnswered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		series, markers, due int
		want                 bool
	}{
		{series: 10, markers: 0, due: 0, want: true},
		{series: 10, markers: 5, due: 0, want: true},
		{series: 10, markers: 5, due: 1, want: false},
		{series: 10, markers: 10, due: 10, want: false},
		{series: maxMarkers, markers: maxMarkers, due: 1, want: false},
		{series: maxMarkers + 1, markers: maxMarkers + 1, due: 1, want: true},
		{series: 800_000, markers: 400_000, due: 400_000, want: false},
		{series: 800_000, markers: 400_001, due: 1, want: true},
	} {
		push := metrics.Push{Series: tt.series, Markers: metrics.Markers{Series: tt.markers, Due: tt.due}}
		if got := markersAnswered(push); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
