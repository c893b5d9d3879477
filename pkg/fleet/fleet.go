// Package fleet plans for many registries: each minute it sends the registries that are due to
// a queue, from which workers take them, and pushes what is known of all of them together.
//
// It decides neither which registries are due (see pkg/targets) nor what a worker does with
// one (see pkg/exporter). It calls SQS and EC2.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Permissions are the IAM actions that the planner needs besides those of its objects (see
// state.ObjectPermissions) and of the member roles.
var Permissions = []awsapi.Permission{getQueueAttributes, sendMessage}

// Source returns the text that lists the targets.
type Source func(context.Context) ([]byte, error)

// FromObject is the source that is a file or an object in S3.
func FromObject(object state.Object) Source {
	return func(ctx context.Context) ([]byte, error) {
		text, err := object.Read(ctx)
		if err == nil && text == nil {
			err = fmt.Errorf("%s does not exist", object)
		}
		return text, err
	}
}

// FromReference is the source that a reference names, such as ssm:NAME. Unlike a secret it is
// read each time.
func FromReference(cfg aws.Config, reference secret.Text, log *slog.Logger) Source {
	return func(ctx context.Context) ([]byte, error) {
		text, err := secret.NewResolver(cfg, log).Secret(reference).Value(ctx)
		return []byte(text), err
	}
}

// Options are the parts of a Planner.
type Options struct {
	// Source has the list of targets, and Parse reads it. Its error has all faults.
	Source Source
	Parse  func(ctx context.Context, text []byte) (*targets.Document, error)
	// Regions returns the Regions that are enabled in an account: see EnabledRegions.
	Regions func(ctx context.Context, account targets.Target) ([]string, error)
	// Kept keeps the planner's own state.
	Kept state.Object
	// Queue is where registries that are due are sent.
	Queue *Queue
	// Concurrency is the number of workers, and SamplesPerSecond what they may send together;
	// 0 means no limit.
	Concurrency      int
	SamplesPerSecond float64
	// Ramp has registries begin in steps, for a workspace whose limits grow with its use.
	Ramp bool
	// Running, if set, is asked what runs, and Snapshot keeps the answer for the workers.
	Running  Running
	Snapshot state.Object
	// Table makes the series, and Sender pushes them.
	Table  *metrics.Table
	Sender *remotewrite.Sender
	Logger *slog.Logger
}

// Planner makes plans, one at a time.
type Planner struct {
	Options
	plan   plan
	stored []byte // the plan as it was read; nil if it could not be
	// resumed is set if registries have been read before, though the plan does not say which.
	resumed bool
}

// New returns a Planner. It makes no call.
func New(options Options) *Planner {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Planner{Options: options}
}

// Summary is what a plan did.
type Summary struct {
	// Slot is the minute that was planned.
	Slot time.Time `json:"slot"`
	// Targets is the number of registries that are read, Starting of those that begin later,
	// Unknown of the accounts whose enabled Regions are not known.
	Targets  int `json:"targets"`
	Starting int `json:"starting"`
	Unknown  int `json:"unknown,omitempty"`
	// Due is the number of registries that were due, Sent of those that the queue has.
	Due  int `json:"due"`
	Sent int `json:"sent"`
	// Waiting is about how many messages no worker had taken before; -1 if it is unknown.
	Waiting int `json:"waiting"`
	// Valid is set unless the list of targets is faulty, and the last good one was used.
	Valid bool         `json:"valid"`
	Push  metrics.Push `json:"push"`
}

// The longest that the parts of a plan may take, so that one that does not respond leaves time
// for the others.
const (
	loadTimeout    = 20 * time.Second
	sendTimeout    = 30 * time.Second
	askTimeout     = 10 * time.Second
	regionsTimeout = 20 * time.Second
	saveTimeout    = 10 * time.Second
	pushTimeout    = 15 * time.Second
)

// Plan sends the registries that are due in the minute of at, which is when the plan was
// scheduled, however late it is made. Whatever fails, the later steps are still made; the
// error joins what failed. Making the plan of a minute again sends nothing twice.
func (p *Planner) Plan(ctx context.Context, at time.Time) (Summary, error) {
	now := time.Now().UTC()
	s := Summary{Slot: at.UTC().Truncate(time.Minute)}
	var errs []error
	step := func(limit time.Duration, do func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if err := do(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	step(loadTimeout, p.load)
	document := &targets.Document{}
	step(loadTimeout, func(ctx context.Context) (err error) {
		document, s.Valid, err = p.document(ctx, now)
		return err
	})
	all, unknown, err := document.Expand(p.regions())
	if err != nil {
		errs = append(errs, err)
	}
	active, starting := p.begun(all, now)
	s.Targets, s.Starting, s.Unknown = len(active), starting, len(unknown)

	step(sendTimeout, func(ctx context.Context) (err error) {
		s.Waiting, err = p.Queue.Waiting(ctx)
		return err
	})
	step(sendTimeout, func(ctx context.Context) (err error) {
		due := p.due(active, s.Slot)
		s.Due = len(due)
		s.Sent, err = p.Queue.Send(ctx, due)
		return err
	})
	step(askTimeout, func(ctx context.Context) error { return p.ask(ctx, all, s.Slot) })
	step(regionsTimeout, func(ctx context.Context) error {
		p.askRegions(ctx, document.Unexpanded(), now)
		return nil
	})
	step(saveTimeout, p.save)
	step(pushTimeout, func(ctx context.Context) (err error) {
		fleet := metrics.Fleet{Starting: starting, Unknown: s.Unknown, Valid: s.Valid, Waiting: s.Waiting, Registries: make([]metrics.FleetRegistry, len(active))}
		for i, target := range active {
			fleet.Registries[i] = metrics.FleetRegistry{ID: target.Account, Region: target.Region, AccountName: target.Name}
		}
		s.Push, err = p.Sender.Push(ctx, now, p.Table.OfFleet(fleet), p.Table.FleetFamilies())
		return err
	})
	return s, errors.Join(errs...)
}

// due is the work for the registries that are due in a minute. The workers share the rate.
func (p *Planner) due(active []targets.Target, slot time.Time) []targets.Work {
	rate := p.SamplesPerSecond / float64(max(1, min(p.Concurrency, len(active))))
	var works []targets.Work
	for _, target := range active {
		if target.Due(slot) {
			works = append(works, targets.Work{Target: target, Slot: slot, Rate: rate})
		}
	}
	return works
}
