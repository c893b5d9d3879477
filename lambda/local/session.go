//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// session is one run of the program.
type session struct {
	options
	environ        []string
	stdout, stderr io.Writer

	schedule  []byte // the scheduled event
	boards    []dashboard
	onlyBoard string // the folder of the dashboard that a picture is taken of
	world     *localtest.World
	past      *pastHour
	store     *localtest.Store
	function  *function
}

// run starts everything, makes the first push, sends the events of one image and, unless
// once is set, continues until ctx ends; or it takes pictures after the first push. stop has to be called after it in any case.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if err := s.start(ctx); err != nil {
		return err
	}
	// Without the store the function would retry the push until its timeout.
	go func() {
		select {
		case <-s.store.Exited:
			fail(s.store.Ended())
		case <-ctx.Done():
		}
	}()
	writeStarted(s.stdout, s)
	err := s.firstPush(ctx)
	switch {
	case err != nil:
	case s.pictures != "":
		err = s.takePictures(ctx)
	default:
		if err = s.firstImage(ctx); err == nil && !s.once {
			err = s.repeat(ctx)
		}
	}
	select {
	case <-s.store.Exited: // the cause of any other error
		return s.store.Ended()
	default:
		return err
	}
}

// start starts the registry, the store and the function, which needs both, and fills the
// store with the past hour.
func (s *session) start(ctx context.Context) error {
	var err error
	if s.schedule, err = readEvent(s.event); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, "starting: simulated ECR, VictoriaMetrics, function")
	now := time.Now()
	if s.world, err = localtest.NewWorld(now); err != nil {
		return err
	}
	if err := s.world.Registry.Server.ListenOn(s.free(ctx, s.ecrPort, "ECR_PORT")); err != nil {
		return err
	}
	if s.past, err = startHour(s.hour, now, s.environ); err != nil {
		return err
	}
	if s.boards, err = readDashboards(s.dashboards); err != nil {
		return err
	}
	dashboards := s.dashboards
	if s.pictures != "" {
		if s.onlyBoard, err = os.MkdirTemp("", "ecr-remote-write-"); err != nil {
			return err
		}
		dashboards = s.onlyBoard
	}
	if s.store, err = localtest.StartStore(ctx, s.victoriaMetrics, s.free(ctx, s.port, "PORT"), dashboards, localtest.StoreStart); err != nil {
		return err
	}
	var log io.Writer
	if s.verbose {
		log = s.stderr
	}
	s.function, err = startFunction(ctx, functionSetup{
		path:        s.bootstrap,
		registry:    s.world.Registry,
		remoteWrite: s.store.URL + localtest.RemoteWritePath,
		settings:    s.past.settings(),
		environ:     s.environ,
		log:         log,
	})
	if err != nil {
		return err
	}
	return s.past.fill(ctx, s.world, s.store)
}

// free returns the port, or 0, for any, if it is taken. The variable of make run sets it.
func (s *session) free(ctx context.Context, port int, variable string) int {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintf(s.stdout, "port %d is taken, using another one; %s=N sets it\n", port, variable)
		return 0
	}
	_ = listener.Close()
	return port
}

// stop stops everything that was started, in reverse order.
func (s *session) stop() error {
	var errs []error
	if s.function != nil {
		errs = append(errs, s.function.stop())
	}
	if s.past != nil {
		errs = append(errs, s.past.stop())
	}
	if s.store != nil {
		errs = append(errs, s.store.Stop())
	}
	if s.onlyBoard != "" {
		errs = append(errs, os.RemoveAll(s.onlyBoard))
	}
	if s.world != nil {
		s.world.Registry.Server.Close()
	}
	return errors.Join(errs...)
}

// firstPush pushes the registry as generated, shows the Summary and the results of the
// queries, and checks that the store has every series.
func (s *session) firstPush(ctx context.Context) error {
	pushed, err := s.invoke(ctx, s.schedule)
	if err != nil {
		return err
	}
	writeSummary(s.stdout, pushed)
	if err := s.store.Flush(ctx); err != nil {
		return err
	}
	for i, q := range slices.Concat(podQueries[:1], queries) {
		result, err := s.store.Query(ctx, q.promQL, pushed.Timestamp)
		if err != nil {
			return err
		}
		writeResult(s.stdout, q, result)
		if i > 0 {
			continue
		}
		if err := s.world.Cluster.Check(result, pushed.Timestamp); err != nil {
			return fmt.Errorf("the result of %s: %w", q.title, err)
		}
		writeOtherPods(s.stdout, len(s.world.Cluster.Pods)-len(result))
	}
	got, err := s.store.Totals(ctx, pushed.Timestamp)
	if err != nil {
		return err
	}
	want := localtest.Expect(s.world.Registry.Registry, pushed.Timestamp, pushed.Scans.Pending)
	if err := localtest.Compare(want, got, pushed.Accepted-pushed.Ended); err != nil {
		return err
	}
	writeChecked(s.stdout, want, got, pushed.Scans.Pending)
	if s.pictures != "" {
		return nil
	}
	return s.checkDashboards(ctx, pushed.Timestamp)
}

// invoke invokes the function with an event, and stores the metrics of the cluster as of
// the same time, as a scrape would.
func (s *session) invoke(ctx context.Context, event []byte) (summary, error) {
	pushed, err := s.function.invoke(ctx, event)
	if err != nil {
		return pushed, err
	}
	return pushed, s.store.Import(ctx, s.world.Cluster, pushed.Timestamp)
}

// firstImage sends all events of an image, from its push to its deletion.
func (s *session) firstImage(ctx context.Context) error {
	writeImageEvents(s.stdout)
	for range localtest.ImageChanges {
		if err := s.imageEvent(ctx); err != nil {
			return err
		}
	}
	return nil
}

// imageEvent makes the next change of an image, invokes the function with its event, and
// checks that a query shows the change at once.
func (s *session) imageEvent(ctx context.Context) error {
	change, err := s.world.Registry.Next(time.Now())
	if err != nil {
		return err
	}
	pushed, err := s.invoke(ctx, change.Event)
	if err != nil {
		return err
	}
	if err := s.store.Flush(ctx); err != nil {
		return err
	}
	result, err := s.store.Query(ctx, change.PromQL, pushed.Timestamp)
	if err != nil {
		return err
	}
	shown, err := change.Check(result)
	if err != nil {
		return fmt.Errorf("%s was %s, but %s does not show it: %w", change.Image, change.What, change.PromQL, err)
	}
	if len(result) == 0 && pushed.Ended > 0 {
		shown = grouped(pushed.Ended) + " series ended"
	}
	writeRun(s.stdout, pushed, "event", change.Image+" "+change.What+": "+shown)
	return nil
}

// repeat changes the registry and invokes the function, for the schedule and for events in
// turn, until ctx ends.
func (s *session) repeat(ctx context.Context) error {
	writeContinuing(s.stdout, s)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for scheduled := true; ; scheduled = !scheduled {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if !scheduled {
			if err := s.imageEvent(ctx); err != nil {
				return err
			}
			continue
		}
		changes := s.world.Registry.Age(time.Now())
		pushed, err := s.invoke(ctx, s.schedule)
		if err != nil {
			return err
		}
		writeScheduled(s.stdout, pushed, changes)
	}
}
