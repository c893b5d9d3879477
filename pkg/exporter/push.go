package exporter

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// push sends the markers of what has ended, which are few and matter most, then every
// series, and records in the inventory what the receiver has now.
func (e *Exporter) push(ctx context.Context, registry *inventory.Registry, options metrics.Options, steps *steps) (err error) {
	if e.Auto {
		e.Sender.SetProtocol(remotewrite.Protocol(registry.Protocols[e.Sender.Endpoint()]))
	}
	series := concat(e.Table.Stale(registry, options), e.Table.ByRepository(registry, options))
	steps.pushed, err = e.Sender.Push(ctx, steps.at, series, e.Table.Families())
	e.keepProtocol(registry)
	if steps.pushed.MayBeStored {
		if n := steps.pushed.Series - steps.pushed.Markers.Series; options.Only == nil && e.RampAbove > 0 && n > e.RampAbove/2 {
			registry.NotePeak(inventory.TimeOf(steps.at), n)
		}
		registry.Pushed(inventory.TimeOf(steps.at), e.Table.Shape(), markersAnswered(steps.pushed), options.Only)
	} else {
		registry.NotPushed()
	}
	if dropped := steps.pushed.DroppedTotal(); err == nil && dropped > 0 {
		err = fmt.Errorf("%s of %s series could not be sent: %v", quantity.Grouped(dropped), quantity.Grouped(steps.pushed.Series), steps.pushed.Dropped)
	}
	return err
}

// maxMarkers is the number of markers beyond which they are given up if some have no
// answer and they are also more than the other series: those of about 30,000 images.
const maxMarkers = 100_000

// markersAnswered reports whether previous records are no longer needed, because every
// marker was accepted or refused. Else the next push sends them again, with its own
// timestamp. But previous records must not pile up while a receiver does not answer for
// weeks; it stops showing their series after the lookback anyway.
func markersAnswered(pushed metrics.Push) bool {
	markers := pushed.Markers
	return markers.Due == 0 || markers.Series > max(maxMarkers, pushed.Series-markers.Series)
}

// keepProtocol keeps the protocol that was found for the next environment.
func (e *Exporter) keepProtocol(registry *inventory.Registry) {
	endpoint, protocol := e.Sender.Endpoint(), string(e.Sender.Protocol())
	if !e.Auto || protocol == "" || registry.Protocols[endpoint] == protocol {
		return
	}
	// Earlier endpoints are of no use any more.
	registry.Protocols = map[string]string{endpoint: protocol}
	registry.Unsaved.Any = true
}

// print writes the series as text, family by family, and measures the requests that would
// push them.
func (e *Exporter) print(ctx context.Context, w io.Writer, registry *inventory.Registry, options metrics.Options, steps *steps) (err error) {
	if err := metrics.WriteText(w, e.Table.All(registry, options)); err != nil {
		return err
	}
	steps.pushed, err = e.Sender.Push(ctx, steps.at, e.Table.ByRepository(registry, options), e.Table.Families())
	return err
}

func concat(parts ...iter.Seq[metrics.Series]) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		for _, part := range parts {
			for s := range part {
				if !yield(s) {
					return
				}
			}
		}
	}
}
