package exporter

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// push sends the markers of what has ended, which are few and matter at once, then
// every series of the view, and notes in the inventory what the receiver knows now.
func (e *Exporter) push(ctx context.Context, registry, view *inventory.Registry, options metrics.Options, run run, steps *steps) error {
	if e.Auto {
		e.Sender.SetProtocol(remotewrite.Protocol(registry.Protocols[e.Sender.Endpoint()]))
	}
	ended := count(metrics.Ended(view, e.Families, options), &steps.ended)
	alive := metrics.ByRepository(view, e.Families, options)

	report, err := e.Sender.Push(ctx, steps.at, concat(ended, alive), e.Families)
	steps.pushed = report
	e.settleProtocol(registry)
	e.settlePush(registry, view, run, steps)
	if dropped := report.DroppedTotal(); err == nil && dropped > 0 {
		err = fmt.Errorf("%d of %d series could not be sent: %v", dropped, report.Series, report.Dropped)
	}
	return err
}

// settleProtocol keeps what was found out of the endpoint for the next environment.
func (e *Exporter) settleProtocol(registry *inventory.Registry) {
	at, spoken := e.Sender.Endpoint(), string(e.Sender.Protocol())
	if !e.Auto || spoken == "" || registry.Protocols[at] == spoken {
		return
	}
	// Endpoints of the past are of no use any more.
	registry.Protocols = map[string]string{at: spoken}
	e.unsaved = true
}

// settlePush notes in the inventory what receivers now know of it. What was
// answered with a final refusal is not told again: of such a batch receivers store
// what is valid, and the refusal may last for weeks, in which former records must
// not pile up.
func (e *Exporter) settlePush(registry, view *inventory.Registry, run run, steps *steps) {
	report := steps.pushed
	if report.Accepted == 0 {
		return
	}
	told, at := report.NotSent == 0, inventory.TimeOf(steps.at)
	// The first push, and one that told of ends, are worth saving.
	e.unsaved = e.unsaved || registry.PushedAt.IsZero() || told && len(view.Ended) > 0
	if run.partial {
		registry.PushedRepositories(at, told, steps.refreshed.Repositories...)
	} else {
		registry.Pushed(at, told)
	}
}

// print writes the series as text, family by family, and measures what pushing them
// would come to.
func (e *Exporter) print(ctx context.Context, w io.Writer, registry *inventory.Registry, options metrics.Options, steps *steps) error {
	if err := metrics.WriteText(w, metrics.All(registry, e.Families, options)); err != nil {
		return err
	}
	report, err := e.Sender.Push(ctx, steps.at, metrics.ByRepository(registry, e.Families, options), e.Families)
	steps.pushed = report
	steps.cost = costOf(report, e.Schedule)
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
