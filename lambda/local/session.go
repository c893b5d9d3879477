//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// session is one showing: what runs, and how it goes on.
type session struct {
	options
	environ        []string
	stdout, stderr io.Writer

	schedule []byte // the event of the schedule
	registry *registry
	store    *store
	function *function
}

// show starts everything, makes the first push, lets one image live and, unless once
// is set, goes on until ctx ends. Whatever it returns, stop has to be called after it.
func (s *session) show(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if err := s.start(ctx); err != nil {
		return err
	}
	// Without its store a push would be tried again until the function's time is up.
	go func() {
		select {
		case <-s.store.exited:
			fail(s.store.ended())
		case <-ctx.Done():
		}
	}()
	writeStarted(s.stdout, s)
	err := s.firstPush(ctx)
	if err == nil {
		err = s.firstLife(ctx)
	}
	if err == nil && !s.once {
		err = s.goOn(ctx)
	}
	select {
	case <-s.store.exited: // which is why, whatever else failed
		return s.store.ended()
	default:
		return err
	}
}

// start starts the registry, the store and the function, in the order of who needs
// whom.
func (s *session) start(ctx context.Context) error {
	var err error
	if s.schedule, err = readEvent(s.event); err != nil {
		return err
	}
	if s.registry, err = startRegistry(time.Now()); err != nil {
		return err
	}
	if s.store, err = startStore(ctx, s.victoriaMetrics, questions, storeStart); err != nil {
		return err
	}
	var log io.Writer
	if s.verbose {
		log = s.stderr
	}
	s.function, err = startFunction(ctx, functionSetup{
		path:        s.bootstrap,
		registry:    s.registry,
		remoteWrite: s.store.url + remoteWritePath,
		environ:     s.environ,
		log:         log,
	})
	return err
}

// stop stops all that was started, the last first.
func (s *session) stop() error {
	var errs []error
	if s.function != nil {
		errs = append(errs, s.function.stop())
	}
	if s.store != nil {
		errs = append(errs, s.store.stop())
	}
	if s.registry != nil {
		s.registry.server.Close()
	}
	return errors.Join(errs...)
}

// firstPush pushes the registry as it was generated, shows what the function says
// of it and what the store answers, and checks that nothing is missing there.
func (s *session) firstPush(ctx context.Context) error {
	pushed, err := s.function.invoke(ctx, s.schedule)
	if err != nil {
		return err
	}
	writeSummary(s.stdout, pushed)
	if err := s.store.flush(ctx); err != nil {
		return err
	}
	for _, q := range questions {
		answer, err := s.store.query(ctx, q.promQL, pushed.Timestamp)
		if err != nil {
			return err
		}
		writeAnswer(s.stdout, q, answer)
	}
	got, err := s.store.totals(ctx, pushed.Timestamp)
	if err != nil {
		return err
	}
	want := expect(s.registry.Registry, pushed.Timestamp, pushed.Scans.Pending)
	if err := compare(want, got, pushed.Accepted); err != nil {
		return err
	}
	writeChecked(s.stdout, want, got, pushed.Scans.Pending)
	return nil
}

// firstLife lets an image live, from its push to its end.
func (s *session) firstLife(ctx context.Context) error {
	writeLife(s.stdout)
	for range len(lives) {
		if err := s.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tell lets the next thing happen to an image, invokes the function with the event
// that ECR sends of it, and checks that a query tells it at once.
func (s *session) tell(ctx context.Context) error {
	change, err := s.registry.live(time.Now())
	if err != nil {
		return err
	}
	pushed, err := s.function.invoke(ctx, change.event)
	if err != nil {
		return err
	}
	if err := s.store.flush(ctx); err != nil {
		return err
	}
	answer, err := s.store.query(ctx, change.promQL, pushed.Timestamp)
	if err != nil {
		return err
	}
	shows, err := change.shows(pushed, answer)
	if err != nil {
		return fmt.Errorf("%s was %s, but %s says otherwise: %w", change.image, change.what, change.promQL, err)
	}
	writeRun(s.stdout, pushed, "event", change.image+" "+change.what+": "+shows)
	return nil
}

// goOn lets the registry age and pushes it, by the schedule and for events in turn,
// until ctx ends.
func (s *session) goOn(ctx context.Context) error {
	writeGoingOn(s.stdout, s)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for scheduled := true; ; scheduled = !scheduled {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if !scheduled {
			if err := s.tell(ctx); err != nil {
				return err
			}
			continue
		}
		changes := s.registry.age(time.Now())
		pushed, err := s.function.invoke(ctx, s.schedule)
		if err != nil {
			return err
		}
		writeScheduled(s.stdout, pushed, changes)
	}
}
