package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// In an hour every registry has one message for each of its slots, whatever environment makes
// the plan, and the state is written only when it changes.
func TestHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var list []string
		for i := range 250 {
			list = append(list, fmt.Sprintf("%012d:eu-west-1,%012d:us-east-1", i, i))
		}
		w.list = strings.Join(list, ",")
		w.restart(fleet.Options{Concurrency: 10, SamplesPerSecond: 70_000})
		seen := map[string][]time.Time{}
		for range 60 {
			if time.Now().Minute()%7 == 0 {
				w.restart(fleet.Options{Concurrency: 10, SamplesPerSecond: 70_000})
			}
			slot := time.Now().UTC().Truncate(time.Minute)
			s := w.plan()
			entries := w.queue.take()
			if s.Targets != 500 || s.Due < 150 || s.Due > 350 || s.Sent != s.Due || len(entries) != s.Sent || !s.Valid || !s.Slot.Equal(slot) {
				t.Fatalf("%d messages, %+v", len(entries), s)
			}
			for _, e := range entries {
				var event struct{ Detail targets.Work }
				if err := json.Unmarshal([]byte(e.MessageBody), &event); err != nil {
					t.Fatal(err)
				}
				work := event.Detail
				if e.MessageGroupID != work.Target.String() || !strings.HasPrefix(e.MessageDeduplicationID, e.MessageGroupID+"/") || !work.Slot.Equal(slot) || work.Rate != 7000 {
					t.Fatalf("%+v of %+v", work, e)
				}
				seen[e.MessageGroupID] = append(seen[e.MessageGroupID], work.Slot)
			}
		}
		if len(seen) != 500 {
			t.Errorf("%d registries had messages", len(seen))
		}
		for group, slots := range seen {
			for i, slot := range slots {
				if len(slots) != 30 || i > 0 && slot.Sub(slots[i-1]) != interval {
					t.Fatalf("%s at %v", group, slots)
				}
			}
		}
		if w.kept.writes != 1 {
			t.Errorf("the state was written %d times, want once", w.kept.writes)
		}
		for name, want := range map[string]float64{"aws_ecr_repository_exporter_up": 1, "aws_ecr_exporter_targets_valid": 1, "aws_ecr_exporter_targets_waiting": 0} {
			if got := w.series(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := w.series("aws_ecr_exporter_targets", "state", "active"); got != 500 || len(w.receiver.Find("aws_ecr_exporter_target_info")) != 500 {
			t.Errorf("%v targets, and the information of %d", got, len(w.receiver.Find("aws_ecr_exporter_target_info")))
		}
		if w.log.Len() > 0 {
			t.Errorf("log:\n%s", w.log)
		}
	})
}

// A rate is shared by as many as push at once; without a limit there is none.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			options fleet.Options
			want    string
		}{
			{fleet.Options{Concurrency: 2, SamplesPerSecond: 1000}, `"rate":500`},
			{fleet.Options{Concurrency: 10, SamplesPerSecond: 1000}, `"rate":333.3`},
			{fleet.Options{Concurrency: 10}, ""},
		} {
			w := newWorld(t)
			w.restart(c.options)
			w.plan()
			w.plan()
			entries := w.queue.take()
			for _, e := range entries {
				if !strings.Contains(e.MessageBody, c.want) || c.want == "" && strings.Contains(e.MessageBody, `"rate"`) {
					t.Errorf("%s, want %s", e.MessageBody, c.want)
				}
			}
			if len(entries) != 3 {
				t.Errorf("%d messages", len(entries))
			}
		}
	})
}

// Registries begin in steps, in any environment, and all at once if the state is lost.
func TestRamp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var list []string
		for i := range 500 {
			list = append(list, fmt.Sprintf("%012d:eu-west-1", i))
		}
		w.list = strings.Join(list, ",")
		w.restart(fleet.Options{Ramp: true})
		last, full := 0, 0
		for minute := range 150 {
			if minute%10 == 0 {
				w.restart(fleet.Options{Ramp: true})
			}
			s := w.plan()
			if s.Targets < last || s.Targets+s.Starting != 500 || minute == 0 && s.Targets != 100 {
				t.Fatalf("minute %d: %d after %d, %d starting", minute, s.Targets, last, s.Starting)
			}
			if got := w.series("aws_ecr_exporter_targets", "state", "starting"); got != float64(s.Starting) {
				t.Fatalf("starting is %v, want %d", got, s.Starting)
			}
			if last = s.Targets; full == 0 && s.Starting == 0 {
				full = minute
			}
		}
		if full < 60 || full > 140 || w.kept.writes > 10 {
			t.Errorf("all have begun after %d minutes, with %d writes", full, w.kept.writes)
		}

		// A state that cannot be read is not replaced, and stops nobody.
		content, _ := w.kept.MemoryObject.Read(t.Context())
		writes := w.kept.writes
		w.kept.refused = errPlanted
		w.restart(fleet.Options{Ramp: true})
		if s, err := w.minute(); s.Targets != 500 || !errors.Is(err, errPlanted) || w.kept.writes != writes {
			t.Errorf("without the state: %+v, %v, written %d times", s, err, w.kept.writes-writes)
		}
		w.kept.refused = nil
		if err := w.kept.Write(t.Context(), content[:len(content)/2]); err != nil {
			t.Fatal(err)
		}
		if s := w.plan(); s.Targets != 500 || !strings.Contains(w.log.String(), "damaged") {
			t.Errorf("with half of the state: %+v", s)
		}
	})
}

// A list with a fault, or that cannot be read, keeps the last good one. The log has it once
// an hour and once for each change.
func TestLastGoodList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		good := w.list
		lines := func(want int, what string) {
			t.Helper()
			if n := strings.Count(w.log.String(), "level=WARN"); n != want {
				t.Errorf("%s: %d warnings, want %d:\n%s", what, n, want, w.log)
			}
			w.log.Reset()
		}
		w.list = "faulty"
		if s, err := w.minute(); err == nil || s.Targets != 0 || s.Valid || w.series("aws_ecr_exporter_targets_valid") != 0 {
			t.Errorf("without a good list: %+v, %v", s, err)
		}
		w.list = good
		w.plan()
		lines(0, "a good list")
		w.list = "faulty"
		for minute := range 150 {
			if minute%9 == 0 {
				w.restart(fleet.Options{})
			}
			if s := w.plan(); s.Targets != 3 || s.Valid {
				t.Fatalf("%+v", s)
			}
		}
		if w.series("aws_ecr_exporter_targets_valid") != 0 || w.series("aws_ecr_exporter_targets", "state", "active") != 3 {
			t.Errorf("the list counts as valid")
		}
		lines(3, "the same fault for 150 minutes")
		w.list = "faulty,too"
		w.plan()
		w.plan()
		lines(1, "another fault")
		for n := range 10 {
			w.sourceErr = fmt.Errorf("request %d: %w", n, errPlanted)
			w.plan()
		}
		lines(1, "ten errors of reading, each with another text")
		w.list, w.sourceErr = good+",333344445555:eu-west-1", nil
		if s := w.plan(); s.Targets != 4 || !s.Valid || w.series("aws_ecr_exporter_targets_valid") != 1 {
			t.Errorf("mended: %+v", s)
		}
		lines(0, "mended")
	})
}

// The Regions of an account are asked for again after an hour, of at most 20 accounts a plan,
// and a failure keeps those that are known.
func TestRegions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var list []string
		for i := range 50 {
			list = append(list, fmt.Sprintf("%012d:*", i))
		}
		w.list, w.regions = strings.Join(list, ","), []string{"eu-west-1", "us-east-1"}
		for _, want := range []int{0, 40, 80, 100, 100} {
			unknown := float64(50 - want/2)
			if s := w.plan(); s.Targets != want || len(w.asked) > 20 || w.series("aws_ecr_exporter_targets", "state", "unknown") != unknown {
				t.Errorf("%d targets, want %d, after asking %d accounts", s.Targets, want, len(w.asked))
			}
			w.asked = nil
		}
		for range 50 {
			w.restart(fleet.Options{})
			w.plan()
		}
		if len(w.asked) > 0 || w.kept.writes != 3 {
			t.Errorf("%d accounts were asked within the hour, and %d writes", len(w.asked), w.kept.writes)
		}
		// What is known outlasts a minute in which no list can be read.
		w.parseErr = errPlanted
		if s, err := w.minute(); s.Targets != 0 || !errors.Is(err, errPlanted) {
			t.Errorf("without any list: %+v, %v", s, err)
		}
		w.parseErr = nil
		w.log.Reset()
		if s := w.plan(); s.Targets != 100 {
			t.Errorf("%d targets afterwards", s.Targets)
		}
		w.regionsErr, w.asked = errPlanted, nil
		for range 10 {
			if s := w.plan(); s.Targets != 100 {
				t.Errorf("%d targets while no account answers", s.Targets)
			}
		}
		if n := strings.Count(w.log.String(), "enabled Regions"); len(w.asked) != 50 || n != 3 {
			t.Errorf("%d accounts were asked, with %d lines", len(w.asked), n)
		}
		w.regionsErr, w.regions, w.asked = nil, []string{"eu-west-1"}, nil
		for range 10 {
			w.plan()
		}
		if s := w.plan(); s.Targets != 50 || len(w.asked) != 50 {
			t.Errorf("%d targets with one Region each, after asking %d", s.Targets, len(w.asked))
		}
	})
}

// That messages wait is a metric.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for minute, waiting := range strings.Split("9 9 0 9", " ") {
			w.queue.waiting = waiting
			w.restart(fleet.Options{})
			if s := w.plan(); fmt.Sprint(s.Waiting) != waiting || fmt.Sprint(w.series("aws_ecr_exporter_targets_waiting")) != waiting {
				t.Errorf("minute %d: %d, want %s", minute, s.Waiting, waiting)
			}
		}
		w.queue.waiting = "many"
		if s, err := w.minute(); err == nil || s.Waiting != -1 || w.series("aws_ecr_exporter_targets_waiting") != -1 {
			t.Errorf("an answer without a number: %+v, %v", s, err)
		}
	})
}

// A push that fails is an error of the plan, after the messages were sent.
func TestPushFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 100 {
			w.receiver.Answer(remotewritetest.Answer{Status: http.StatusServiceUnavailable})
		}
		sent := 0
		for range 2 {
			s, err := w.minute()
			if sent += s.Sent; err == nil || !strings.Contains(err.Error(), "503") {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if sent != 3 || len(w.queue.take()) != 3 {
			t.Errorf("%d messages", sent)
		}
	})
}

// A queue that does not respond leaves time for the push.
func TestQueueHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.queue.respond = func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}
		begun := time.Now()
		s, err := w.Plan(t.Context(), begun)
		if err == nil || s.Sent != 0 || s.Waiting != -1 || s.Push.Accepted == 0 || time.Since(begun) > 61*time.Second {
			t.Errorf("after %s: %+v, %v", time.Since(begun), s, err)
		}
	})
}

// Find and Targets in an environment that has planned nothing: a worker's, and a laptop.
func TestFind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list, w.regions = "111122223333:*,222233334444:eu-west-1", []string{"eu-west-1", "us-east-1"}
		find := func(account, region string, want bool) {
			t.Helper()
			target, found, err := w.Find(t.Context(), account, region)
			if err != nil || found != want || found && target.String() != account+"/"+region {
				t.Errorf("found %v: %v, %v, want %v", &target, found, err, want)
			}
		}
		find("222233334444", "eu-west-1", false)
		if all, err := w.Targets(t.Context()); len(all) != 3 || err != nil || w.kept.writes != 0 {
			t.Errorf("%v, %v, written %d times", all, err, w.kept.writes)
		}
		w.plan()
		w.restart(fleet.Options{})
		find("111122223333", "us-east-1", true)
		find("222233334444", "eu-north-1", false)
		// A change that another environment has planned.
		w.list = "333344445555:eu-west-1"
		worker := w.Planner
		w.restart(fleet.Options{})
		w.plan()
		w.Planner = worker
		find("333344445555", "eu-west-1", true)
		find("111122223333", "us-east-1", false)
		w.kept.refused = errPlanted
		find("333344445555", "eu-west-1", true)
		w.restart(fleet.Options{})
		if _, _, err := w.Find(t.Context(), "333344445555", "eu-west-1"); !errors.Is(err, errPlanted) {
			t.Errorf("a state that cannot be read: %v", err)
		}
	})
}

// A source is read each time: it may have changed.
func TestSources(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "targets.yaml")
	reference, err := secret.Parse("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]fleet.Source{
		"object":    fleet.FromObject(state.NewFileObject(path)),
		"reference": fleet.FromReference(aws.Config{}, reference, slog.New(slog.DiscardHandler)),
	} {
		_ = os.Remove(path)
		if text, err := source(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s without a file: %q, %v", name, text, err)
		}
		for _, want := range []string{"first", "second"} {
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
			if text, err := source(t.Context()); string(text) != want || err != nil {
				t.Errorf("%s: %q, %v, want %q", name, text, err, want)
			}
		}
	}
}
