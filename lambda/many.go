package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// many is what reads the registries of TARGETS. The schedule only plans: it sends a message for
// each registry that is due to a queue, which gives them back one by one. An execution
// environment keeps the inventory of the registry that it read last, and connections and the
// credentials of all.
type many struct {
	*connections
	environ []string
	use     config.Use
	config  *config.Config
	planner *fleet.Planner
	roles   roles
	regions map[string]*awsRegion
	// identity is that of the function's own credentials; empty until it is needed.
	identity struct{ account, partition string }

	costs   io.Writer // outside Lambda: what a forecast is written to
	several bool      // registries are printed at once

	target   targets.Target
	exporter *exporter.Exporter // of the target; nil before the first
}

// newMany sets up reading the registries of TARGETS. It makes no AWS call.
func newMany(ctx context.Context, c *config.Config, environ []string, use config.Use, w wiring) (*many, error) {
	connected, err := connect(ctx, c, w)
	if err != nil {
		return nil, err
	}
	m := &many{connections: connected, environ: environ, use: use, config: c, roles: roles{own: connected.aws}, regions: map[string]*awsRegion{}}
	m.planner, err = m.newPlanner()
	return m, err
}

// handle handles an invocation: it plans, or handles a batch of the queue.
func (m *many) handle(ctx context.Context, e event) (any, error) {
	if e.messages == nil && e.run && e.work == nil {
		summary, err := m.planner.Plan(ctx, planned(e.at, time.Now()))
		if err != nil {
			m.log.ErrorContext(ctx, "planned with errors", slog.Any("plan", summary), slog.Any("error", err))
			return nil, err
		}
		m.log.InfoContext(ctx, "planned", slog.Any("plan", summary))
		return summary, nil
	}
	if e.messages == nil {
		return nil, errors.New("with TARGETS, events and planned work come through the queue")
	}
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	again := map[string]bool{} // groups whose messages have to be delivered again, in their order
	for i := range e.messages {
		if message := &e.messages[i]; again[message.group] || !m.handleMessage(ctx, message) {
			again[message.group] = true
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.id})
		}
	}
	return response, nil
}

// maxDelay is how far from the clock the time of the schedule's event may be.
const maxDelay = time.Hour

// planned returns the moment to plan for: that of the schedule's event, so that an event that is
// delivered twice sends no message twice.
func planned(at, now time.Time) time.Time {
	if at.IsZero() || now.Sub(at).Abs() > maxDelay {
		return now
	}
	return at
}

// handleMessage handles a message. It is false if the message has to be delivered again: only
// events, and only if what they taught could not be kept. Planned work is not made up for.
func (m *many) handleMessage(ctx context.Context, message *message) bool {
	target, err := m.targetOf(ctx, message)
	switch {
	case err != nil:
		m.log.ErrorContext(ctx, "message dropped", slog.String("messageId", message.id), slog.Any("error", err))
		return true
	case target == nil:
		m.log.InfoContext(ctx, "event needs no run")
		return true
	}
	log := m.log.With(slog.String("target", target.String()))
	if work := message.event.work; work != nil && work.Expired(time.Now()) {
		log.InfoContext(ctx, "the registry's next turn has come: this one is left out", slog.Time("slot", work.Slot))
		return true
	}
	export, err := m.exporterOf(target, log)
	if err != nil {
		log.ErrorContext(ctx, "message dropped", slog.String("messageId", message.id), slog.Any("error", err))
		return true
	}
	m.sender.SetRate(m.rate(message.event.work))
	summary, err := process(ctx, export, message.event)
	// Events must not keep the registry's planned work from its turn.
	if message.event.work == nil && time.Since(message.sent) >= target.Interval && time.Since(export.Registry().WholePushedAt().Time()) >= target.Interval {
		var whole exporter.Summary
		var failed error
		whole, failed = export.Run(ctx)
		summary, err = &whole, errors.Join(err, failed)
	}
	if summary != nil {
		m.note(target, summary, err)
	}
	report(ctx, log, summary, err)
	return message.event.work != nil || summary == nil || summary.Errors["save"] == ""
}

// rate is how fast a push may send, in samples per second; 0 means no limit.
func (m *many) rate(work *targets.Work) float64 {
	if work != nil {
		return work.Rate
	}
	return m.config.RemoteWriteSamplesPerSecond / float64(m.config.TargetConcurrency)
}

// targetOf returns the registry that a message is about, nil if it is none of TARGETS. Its group has
// to be the registry: only messages of one group are handled one after the other.
func (m *many) targetOf(ctx context.Context, message *message) (*targets.Target, error) {
	switch e := message.event; {
	case message.err != nil:
		return nil, message.err
	case e.work != nil:
		if target := &e.work.Target; message.group != target.String() {
			return nil, fmt.Errorf("planned work on %s has the message group %.100q", target, message.group)
		}
		return &e.work.Target, nil
	case len(e.events) > 0 && message.group == e.events[0].Account+"/"+e.events[0].Region:
		target, found, err := m.planner.Find(ctx, e.events[0].Account, e.events[0].Region)
		if err != nil || !found {
			return nil, err
		}
		return &target, nil
	}
	return nil, nil //nolint:nilnil // there is none
}

// exporterOf returns the exporter of a registry in place of that of another one: memory has room
// for one inventory.
func (m *many) exporterOf(target *targets.Target, log *slog.Logger) (*exporter.Exporter, error) {
	if m.exporter != nil && reflect.DeepEqual(m.target, *target) {
		return m.exporter, nil
	}
	export, _, err := m.newExporter(target, log)
	if err != nil {
		return nil, fmt.Errorf("setting up the registry %s: %w", target, err)
	}
	m.target, m.exporter = *target, export
	return export, nil
}

// configOf returns the configuration of a registry.
func (m *many) configOf(target *targets.Target) (*config.Config, error) {
	return config.ForTarget(m.environ, m.use, target)
}

// newExporter makes the exporter of a registry from its configuration.
func (m *many) newExporter(target *targets.Target, log *slog.Logger) (*exporter.Exporter, *config.Config, error) {
	c, err := m.configOf(target)
	if err != nil {
		return nil, nil, err
	}
	awsCfg := m.aws.Copy()
	awsCfg.Region = target.Region
	role := m.roles.of(target)
	if role != nil {
		awsCfg.Credentials = role.credentials
	}
	connected := *m.connections
	connected.log = log
	if m.several { // a Sender makes one push at a time, and the progress is that of all
		connected.laptop = nil
		if connected.sender, err = newSender(c, awsCfg, m.secrets, connected.wiring); err != nil {
			return nil, nil, err
		}
	}
	export, err := connected.registry(c, awsCfg)
	if err != nil {
		return nil, nil, err
	}
	export.Reach = func(ctx context.Context, _ *inventory.Registry, at time.Time) error {
		switch {
		case m.several: // each is read once
			return role.assume(ctx)
		case m.regionOf(target).waits(at):
			return exporter.ErrWaits
		}
		return role.reach(ctx, at)
	}
	return export, c, nil
}
