//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// stackName is that of samconfig.toml.
const stackName = "ecr-remote-write"

// The registry is small enough for the first run to read every scan at the default rate.
const (
	repositories = 20
	taggedImages = 60
)

// session is one run of the program.
type session struct {
	options
	begun      time.Time
	registry   *localtest.Registry
	registries *registries // that one and more
	stores     [len(destinationNames)]*localtest.Store
	gateway    *gateway
	emulator   *emulator
	// parameters are the stack's for each destination, outputs those of the stack.
	parameters [][]string
	outputs    map[string]string
	stateKey   string             // the bucket's
	event      []byte             // the schedule's
	ours       map[time.Time]bool // the runs that were not the schedule's, by timestamp
	missing    []string           // what the emulator cannot do
}

// step is a row of the table. It returns the result in a few words.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// run makes all steps in order, up to the first that fails. stop has to be called after it
// in any case.
func (s *session) run(ctx context.Context) error {
	s.begun = time.Now()
	s.ours = map[time.Time]bool{}
	if err := os.MkdirAll(s.out, 0o750); err != nil {
		return fmt.Errorf("make the folder of the stack: %w", err)
	}
	var err error
	if s.event, err = os.ReadFile(filepath.Join("events", "schedule-rule.json")); err != nil {
		return fmt.Errorf("read the schedule's event: %w", err)
	}
	if s.organisation {
		return s.do(ctx, append([]step{{"start ECR, VictoriaMetrics and MiniStack", s.start}}, s.organisationSteps()...))
	}
	steps := []step{
		{"start ECR, VictoriaMetrics and MiniStack", s.start},
		{"make deploy, to RemoteWriteUrl", s.deployFirst},
	}
	if s.broken != "" {
		steps = append(steps, step{"break on purpose: " + s.broken, s.breakIt})
	}
	steps = append(steps,
		step{"the first run", s.firstRun},
		step{"the state is in S3", s.stateSaved},
		step{"event: image pushed", s.imageEvent},
		step{"event: image scanned", s.imageEvent},
		step{"event: image deleted", s.imageEvent},
		step{"the promises, with events", s.promises},
		step{"a cold start resumes from S3", s.coldStart},
	)
	// Every change from one kind of destination to another.
	at := 0
	for _, to := range []int{1, 2, 0, 2, 1, 0} {
		steps = append(steps, s.moveStep(at, to))
		if at == 0 && to == 1 {
			steps = append(steps, step{"the password changes", s.rotate})
		}
		at = to
	}
	steps = append(steps, step{"make deploy, with everything on", s.deployEverything}, step{"the schedule fires", s.schedule})
	fmt.Printf("%-40s %9s   %s\n", "step", "time", "result")
	if err := s.do(ctx, steps); err != nil {
		return err
	}
	if s.broken != "" {
		return errors.New("no step has found what was broken")
	}
	if s.keep {
		s.describe()
		<-ctx.Done()
		return nil
	}
	if err := s.do(ctx, []step{
		{"make undeploy", s.undeploy},
		{"make deploy, with the kept StateBucket", s.redeploy},
		{"make undeploy DELETE_STATE=1", s.undeployState},
	}); err != nil {
		return err
	}
	if err := s.do(ctx, s.organisationSteps()); err != nil {
		return err
	}
	upgrades, skipped, err := s.upgradeSteps(ctx)
	if err != nil {
		return err
	}
	if err := s.do(ctx, upgrades); err != nil {
		return err
	}
	s.summarize()
	if skipped != "" {
		fmt.Printf("\nSKIPPED: %s\n", skipped)
	}
	return nil
}

// do makes steps, and writes the row of each.
func (s *session) do(ctx context.Context, steps []step) error {
	for _, step := range steps {
		begun := time.Now()
		result, err := step.do(ctx)
		if err == nil {
			err = s.alive()
		}
		if err != nil {
			result = "FAILED"
		}
		fmt.Printf("%-40s %7.1f s   %s\n", step.name, time.Since(begun).Seconds(), result)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// alive returns an error if something that was started has ended.
func (s *session) alive() error {
	for _, p := range []*localtest.Process{s.stores[0].Process, s.stores[1].Process, s.stores[2].Process, s.emulator.Process} {
		select {
		case <-p.Exited:
			return p.Ended()
		default:
		}
	}
	return s.gateway.check()
}

// start starts everything that the stack needs.
func (s *session) start(ctx context.Context) (string, error) {
	var err error
	if s.registry, err = localtest.StartRegistry(time.Now(), repositories, taggedImages, 0); err != nil {
		return "", err
	}
	if s.registries, err = listenRegistries(ctx, s.registry); err != nil {
		return "", err
	}
	for i := range s.stores {
		if s.stores[i], err = localtest.StartStore(ctx, s.victoriaMetrics, 0, "", localtest.StoreStart); err != nil {
			return "", err
		}
	}
	if s.gateway, err = listenGateway(ctx); err != nil {
		return "", err
	}
	if s.emulator, err = startEmulator(ctx, s.ministack, s.registries.url, s.gateway); err != nil {
		return "", err
	}
	s.registries.ask = s.emulator.tokens
	if err := s.gateway.serve(s.emulator.url, s.stores[1].URL, s.stores[2].URL); err != nil {
		return "", err
	}
	if s.parameters, err = s.destinationParameters(ctx); err != nil {
		return "", err
	}
	totals := s.registry.Totals()
	return fmt.Sprintf("%d repositories, %d images", totals.Repositories, totals.Images), nil
}

// stop stops everything that was started, in reverse order.
func (s *session) stop() error {
	var errs []error
	if s.emulator != nil {
		errs = append(errs, s.emulator.stop(filepath.Join(s.out, "ministack.log")))
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.stop())
	}
	for _, store := range s.stores {
		if store != nil {
			errs = append(errs, store.Stop())
		}
	}
	if s.registries != nil {
		errs = append(errs, s.registries.stop())
	}
	if s.registry != nil {
		s.registry.Server.Close()
	}
	return errors.Join(errs...)
}

// describe writes where everything is that -keep leaves running.
func (s *session) describe() {
	fmt.Printf(`
Left running, until Ctrl-C:
  MiniStack          %s (account %s, Region %s; AWS_CA_BUNDLE=%s)
  VictoriaMetrics    %s/vmui
  ECR and Inspector  %s
  stack              %s, function %s
  the function's log %s
`, s.gateway.url, localtest.Account, localtest.Region, s.gateway.certificate, s.stores[0].URL, s.registry.Server.URL(), stackName, s.outputs["FunctionName"], logGroup)
}

// summarize writes what was not checked.
func (s *session) summarize() {
	fmt.Printf("\nEverything was checked in %.0f s, except what MiniStack cannot do:\n", time.Since(s.begun).Seconds())
	for _, text := range append(s.missing, limits...) {
		fmt.Println("  -", strings.ReplaceAll(text, "\n", "\n    "))
	}
}

// limits are known limits of the emulator that no step of ours can see.
var limits = []string{
	"put-events refuses events of aws.*: EventBridge's messages were sent to the queue, so the\nrules' patterns were not checked (go test ./lambda evaluates them)",
	"it refuses AWS::ECR::PullTimeUpdateExclusion (Unsupported resource type) and the stack with it:\nPullTimeExclusion was existing",
	"there is no AMP: a proxy stood in for the workspace, and checked only who signs for what. It\nrefuses AWS::APS::Workspace and AWS::APS::RuleGroupsNamespace: WorkspaceId was not create, and\nAlertRules was DISABLED",
	"alarms were created, not raised; X-Ray got nothing, and no key encrypted anything",
	"it takes the messages of a FIFO queue one after the other, whatever their groups and\nMaximumConcurrency are: registries did not run side by side",
	"functions run as processes, whatever Architectures and MemorySize are",
}
