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
	series := concat(count(e.Table.Stale(registry, options), &steps.ended), e.Table.ByRepository(registry, options))
	steps.pushed, err = e.Sender.Push(ctx, steps.at, series, e.Table.Families())
	e.keepProtocol(registry)
	if steps.pushed.Accepted > 0 {
		// A batch with a final refusal counts as delivered: receivers store what is
		// valid in it, and previous records must not pile up during weeks of refusals.
		told := steps.pushed.NotSent == 0
		registry.Pushed(inventory.TimeOf(steps.at), e.Table.Shape(), told, options.Only)
	} else {
		registry.NotPushed()
	}
	if dropped := steps.pushed.DroppedTotal(); err == nil && dropped > 0 {
		err = fmt.Errorf("%s of %s series could not be sent: %v", quantity.Grouped(dropped), quantity.Grouped(steps.pushed.Series), steps.pushed.Dropped)
	}
	return err
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

// print writes the series as text, family by family, and measures what pushing them would
// cost.
func (e *Exporter) print(ctx context.Context, w io.Writer, registry *inventory.Registry, options metrics.Options, steps *steps) (err error) {
	if err := metrics.WriteText(w, e.Table.All(registry, options)); err != nil {
		return err
	}
	steps.pushed, err = e.Sender.Push(ctx, steps.at, e.Table.ByRepository(registry, options), e.Table.Families())
	steps.cost = costOf(steps.pushed, e.Schedule)
	return err
}

// count counts the series that pass.
func count(series iter.Seq[metrics.Series], n *int) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		for s := range series {
			*n++
			if !yield(s) {
				return
			}
		}
	}
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
