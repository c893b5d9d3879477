package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// queueRate bounds the requests to SQS and those for Regions, per second: far above what a plan
// needs.
const queueRate = 50

// newPlanner wires up what plans. It makes no call.
func (m *many) newPlanner() (*fleet.Planner, error) {
	c := m.config
	shape := c.Shape()
	shape.Region = m.aws.Region
	table, err := metrics.New(shape)
	if err != nil {
		return nil, err
	}
	limiter := awsapi.NewLimiter(queueRate)
	options := fleet.Options{
		Parse:            m.parse,
		Source:           func(context.Context) ([]byte, error) { return []byte(c.Targets), nil },
		Kept:             m.object("plan"),
		Queue:            fleet.NewQueue(m.aws, c.QueueURL.String(), limiter),
		Concurrency:      c.TargetConcurrency,
		SamplesPerSecond: c.RemoteWriteSamplesPerSecond,
		Ramp:             c.AMP(),
		Table:            table,
		Sender:           m.sender,
		Logger:           m.log,
	}
	options.Regions = func(ctx context.Context, account targets.Target) ([]string, error) {
		awsCfg, role := m.aws.Copy(), m.roles.of(&account)
		if role != nil {
			awsCfg.Credentials = role.credentials
		}
		regions, err := fleet.EnabledRegions(ctx, awsCfg, limiter)
		if err != nil {
			role.forget()
		}
		return regions, err
	}
	if at, ok := c.Targets.Object(); ok {
		options.Source = fleet.FromObject(state.NewS3Object(m.stored, at.Bucket, at.Key))
	} else if c.Targets.IsParameter() {
		from, err := secret.Parse(string(c.Targets))
		if err != nil {
			return nil, fmt.Errorf("TARGETS: %w", err)
		}
		options.Source = fleet.FromReference(m.aws, from, m.log)
	}
	if m.running != nil {
		// The workers are told what the planner was.
		options.Running, options.Snapshot = m.running, m.object("running")
		m.running = fleet.Snapshot{Object: options.Snapshot}
	}
	return fleet.New(options), nil
}

// object returns where something of the planner's is kept, in the folder of the state.
func (m *many) object(name string) state.Object {
	switch at := m.config.StateURL.Beside(name); {
	case at.Bucket != "":
		return state.NewS3Object(m.stored, at.Bucket, at.Key)
	case at.Path != "":
		return state.NewFileObject(at.Path)
	}
	return &state.MemoryObject{}
}

// parse reads the registries of TARGETS, given as a list or as a document.
func (m *many) parse(ctx context.Context, text []byte) (*targets.Document, error) {
	if m.identity.account == "" {
		account, partition, err := auth.Identity(ctx, m.aws)
		if err != nil {
			return nil, err
		}
		m.identity.account, m.identity.partition = account, partition
	}
	defaults := targets.Defaults{
		Account: m.identity.account, Partition: m.identity.partition, Region: m.aws.Region,
		Role: string(m.config.TargetRole), ExternalID: string(m.config.TargetExternalID),
		Interval: max(time.Minute, m.config.Schedule.Interval().Truncate(time.Minute)),
	}
	if targets.IsList(string(text)) { // perhaps an earlier one, which is kept
		return targets.ParseList(string(text), defaults)
	}
	return targets.ParseDocument(text, defaults, m.check)
}

// check returns what is wrong with the settings of a registry, by name.
func (m *many) check(settings map[string]string) map[string]string {
	wrong := map[string]string{}
	_, err := m.configOf(&targets.Target{Account: m.identity.account, Region: m.aws.Region, Settings: settings})
	faults, ok := err.(config.Faults) //nolint:errorlint // as documented
	if err != nil && !ok {
		wrong[""] = err.Error()
	}
	for _, fault := range faults {
		wrong[fault.Variable] = fault.Rule
	}
	return wrong
}
