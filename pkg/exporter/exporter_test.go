package exporter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}

// images gives a repository n images of one tag and a size each: with its info
// series 1+n series, and 2 of the registry.
func images(n int) []ecrtest.Image {
	list := make([]ecrtest.Image, n)
	for i := range list {
		list[i] = ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(i)), Tags: []string{fmt.Sprint("v", i)}, SizeBytes: aws.Int64(int64(i))}
	}
	return list
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	bubble(t, "the second run pushes the same and asks nothing", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(25)...)
		first, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(2 * time.Minute)
		second, err := w.run(time.Minute)
		w.check(err)

		want := exporter.Summary{
			Registry: account, Repositories: 1, Images: 25, TaggedImages: 25,
			Result: refresh.Result{Listed: true, Due: 1, Refreshed: 1}, OldestRecordAge: aws.Float64(0), Scans: exporter.Scans{Source: "none"},
			Push:  metrics.Push{Series: 28, Accepted: 28, Protocol: string(remotewrite.V1), Batches: 3, Requests: 4, MayBeStored: true},
			Calls: map[string]int{"DescribeImages": 1, "DescribeRepositories": 1}, Throttles: map[string]int{},
		}
		strip := func(s exporter.Summary) exporter.Summary {
			s.Timestamp, s.Durations, s.Errors, s.BytesRaw, s.BytesCompressed, s.Push.Duration = time.Time{}, nil, nil, 0, 0, 0
			return s
		}
		if diff := cmp.Diff(want, strip(first)); diff != "" {
			t.Errorf("first Summary (-want +got):\n%s", diff)
		}
		want.Result, want.OldestRecordAge, want.Calls, want.Requests = refresh.Result{}, aws.Float64(120), map[string]int{}, 3
		if diff := cmp.Diff(want, strip(second)); diff != "" {
			t.Errorf("second Summary (-want +got):\n%s", diff)
		}
		for _, series := range w.receiver.All() {
			if len(series.Samples) != 2 || series.Samples[1].Timestamp-series.Samples[0].Timestamp != 120_000 || series.Samples[0].Timestamp != first.Timestamp.UnixMilli() {
				t.Errorf("%v: samples %v", series, series.Samples)
			}
		}
		if n := len(w.receiver.All()); n != 28 {
			t.Errorf("%d series received, want 28", n)
		}
	})
	bubble(t, "two runs in one millisecond have two timestamps", func(t *testing.T) {
		w := newWorld(t)
		a, err := w.run(time.Minute)
		w.check(err)
		b, err := w.run(time.Minute)
		w.check(err)
		if !b.Timestamp.After(a.Timestamp) {
			t.Errorf("timestamps %v and %v", a.Timestamp, b.Timestamp)
		}
	})
}

// Whatever fails, the steps after it are made, and the run says so.
func TestRunFailures(t *testing.T) {
	t.Parallel()
	bubble(t, "ECR is down: everything known is pushed", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(5)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		summary, err := w.run(2 * time.Minute)
		if err == nil || !strings.Contains(err.Error(), "listing repositories") || summary.Errors["refresh"] == "" {
			t.Errorf("error %v, Summary %v", err, summary.Errors)
		}
		if summary.Accepted != 8 || *summary.OldestRecordAge < interval.Seconds() {
			t.Errorf("%d series accepted, oldest record %v s old", summary.Accepted, *summary.OldestRecordAge)
		}
	})
	bubble(t, "one repository is denied: the others are pushed, and it as it was", func(t *testing.T) {
		w := newWorld(t)
		w.put("open", images(2)...)
		w.put("secret", images(3)...)
		_, err := w.run(time.Minute)
		w.check(err)
		policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"` + w.registry.ARN("secret") + `"}]}`))
		w.check(err)
		w.server.SetPolicy(policy)
		time.Sleep(interval)
		summary, err := w.run(time.Minute)
		if !errors.Is(err, awsapi.ErrDenied) || summary.Denied != 1 || summary.Refreshed != 1 || summary.Accepted != 2+2+5 {
			t.Errorf("error %v, Summary %+v", err, summary)
		}
	})
	bubble(t, "one batch is refused: the others arrive, and the inventory is saved", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(25)...)
		w.receiver.Answer(remotewritetest.Answer{Status: http.StatusBadRequest, Body: "out of order sample"})
		summary, err := w.run(time.Minute)
		if err == nil || !strings.Contains(err.Error(), "out of order sample") {
			t.Errorf("error %v", err)
		}
		if summary.Unconfirmed == 0 || summary.Unconfirmed+summary.Accepted != 28 || summary.Errors["push"] == "" {
			t.Errorf("Summary %+v", summary)
		}
		if saved, err := w.store.Load(t.Context()); err != nil || saved == nil {
			t.Errorf("saved %v, %v", saved, err)
		}
	})
	bubble(t, "a series that no receiver takes is a failure", func(t *testing.T) {
		w := newWorld(t, func(o *exporter.Options) {
			shaped(func(s *inventory.Shape) { s.External = map[string]string{"note": strings.Repeat("x", 3000)} })(o)
		})
		summary, err := w.run(time.Minute)
		if err == nil || summary.Dropped["label_value_too_long"] != 2 || summary.Series != 2 {
			t.Errorf("error %v, Summary %+v", err, summary)
		}
	})
	bubble(t, "a store that fails: pushed all the same", func(t *testing.T) {
		w := newWorld(t, func(o *exporter.Options) { o.Store = brokenStore{} })
		w.put("app", images(2)...)
		summary, err := w.run(time.Minute)
		if err != nil || summary.Accepted != 5 || !strings.Contains(w.log.String(), errBroken.Error()) || summary.Errors["load"] == "" || summary.Errors["save"] == "" {
			t.Errorf("error %v, Summary %+v", err, summary)
		}
	})
	// Whether its account is configured, or only the listing shows it.
	for _, configured := range []string{account, ""} {
		for _, listed := range []int{0, 1} {
			bubble(t, fmt.Sprint("a state of another registry is not used, account ", configured, ", repositories ", listed), func(t *testing.T) {
				w := newWorld(t)
				w.check(w.store.Save(t.Context(), &inventory.Registry{
					ID: "999999999999", ListedAt: 1, Repositories: []*inventory.Repository{{Name: "theirs", ImagesReadAt: 1, Mark: inventory.Mark{Shown: true}}},
				}, true))
				w.store.Of(configured, "")
				if listed > 0 {
					w.put("app")
				}
				summary, err := w.run(time.Minute)
				w.check(err)
				if summary.Registry != account || summary.Repositories != listed || summary.Ended > 0 || len(w.receiver.Find("aws_ecr_repository_info", "name", "theirs")) != 0 {
					t.Errorf("Summary %+v", summary)
				}
			})
		}
	}
}

var errBroken = errors.New("the disk is gone")

type brokenStore struct{}

func (brokenStore) Of(string, string)                                     {}
func (brokenStore) Load(context.Context) (*inventory.Registry, error)     { return nil, errBroken }
func (brokenStore) Save(context.Context, *inventory.Registry, bool) error { return errBroken }

// Nothing outlives the deadline, and asking leaves time for pushing.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{4 * time.Second, 30 * time.Second, 110 * time.Second, 900 * time.Second} {
		bubble(t, fmt.Sprint("slow ECR, ", timeout), func(t *testing.T) {
			w := newWorld(t, func(o *exporter.Options) { o.RefreshBudget = 10 * time.Minute })
			for i := range 1500 {
				w.put(fmt.Sprint("repo-", i))
			}
			w.server.SetLatency("DescribeImages", 1900*time.Millisecond, 0)
			begun := time.Now()
			summary, err := w.run(timeout)
			w.check(err)
			took := time.Since(begun)
			if want := min(max(timeout/2, timeout-40*time.Second), 10*time.Minute); summary.Left > 0 && (took < want-2*time.Second || took > want) {
				t.Errorf("asked for %v of %v, want about %v", took, timeout, want)
			}
			if summary.Accepted != 1502 {
				t.Errorf("%d series accepted, want every repository's info at least", summary.Accepted)
			}
		})
		bubble(t, fmt.Sprint("dead receiver, ", timeout), func(t *testing.T) {
			w := newWorld(t)
			w.put("app", images(25)...)
			for range 10_000 {
				w.receiver.Answer(remotewritetest.Answer{Status: http.StatusServiceUnavailable, Body: "no ingesters"})
			}
			begun := time.Now()
			summary, err := w.run(timeout)
			if took := time.Since(begun); took > timeout-min(3*time.Second, timeout/2) && timeout <= 5*time.Minute {
				t.Errorf("it took %v of %v", took, timeout)
			}
			if err == nil || !strings.Contains(err.Error(), "no ingesters") || summary.Unconfirmed != 28 {
				t.Errorf("error %v, Summary %+v", err, summary)
			}
			if saved, err := w.store.Load(t.Context()); err != nil || saved == nil {
				t.Errorf("saved %v, %v", saved, err)
			}
		})
	}
	bubble(t, "the budget bounds the asking", func(t *testing.T) {
		w := newWorld(t)
		for i := range 500 {
			w.put(fmt.Sprint("repo-", i))
		}
		w.server.SetLatency("DescribeImages", 2*time.Second, 0)
		begun := time.Now()
		summary, err := w.run(15 * time.Minute)
		w.check(err)
		if took := time.Since(begun); took > time.Minute || summary.Left == 0 || summary.Refreshed < 100 {
			t.Errorf("it took %v: %+v", took, summary)
		}
	})
	bubble(t, "no budget, no deadline: until all is done", func(t *testing.T) {
		w := newWorld(t, func(o *exporter.Options) { o.RefreshBudget = 0 })
		for i := range 500 {
			w.put(fmt.Sprint("repo-", i))
		}
		w.server.SetLatency("DescribeImages", 2*time.Second, 0)
		summary, err := w.exporter.Run(t.Context())
		w.check(err)
		if summary.Refreshed != 500 || summary.Accepted != 502 {
			t.Errorf("Summary %+v", summary)
		}
	})
	bubble(t, "an interrupted run keeps what it learned", func(t *testing.T) {
		w := newWorld(t, func(o *exporter.Options) { o.RefreshBudget = 0 })
		for i := range 10 {
			w.put(fmt.Sprint("repo-", i))
		}
		w.server.SetLatency("DescribeImages", 2*time.Second, 0)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		begun := time.Now()
		if _, err := w.exporter.Run(ctx); err == nil || time.Since(begun) > 4*time.Second {
			t.Errorf("after %v: error %v", time.Since(begun), err)
		}
		saved, err := w.store.Load(t.Context())
		w.check(err)
		if saved == nil || saved.Find("repo-0").ImagesReadAt.IsZero() {
			t.Errorf("saved %+v", saved)
		}
	})
}

// With a state that outlives the environment a cold start asks nothing.
func TestColdStart(t *testing.T) {
	t.Parallel()
	bubble(t, "warm", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(5)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.restart()
		summary, err := w.run(time.Minute)
		w.check(err)
		if len(summary.Calls) != 0 || summary.Accepted != 8 {
			t.Errorf("Summary %+v", summary)
		}
	})
}

// savedSuccess notes the time of the last success whenever the inventory is saved.
type savedSuccess struct {
	state.Memory
	at    time.Time
	saves int
}

func (s *savedSuccess) Save(ctx context.Context, registry *inventory.Registry, whole bool) error {
	s.at, s.saves = registry.SucceededAt.Time(), s.saves+1
	return s.Memory.Save(ctx, registry, whole)
}

// Of one of many registries the stored time of the last success is never much older than an hour,
// though nothing else is saved. Another environment may make the next run.
func TestSuccessIsStored(t *testing.T) {
	t.Parallel()
	bubble(t, "one environment", func(t *testing.T) {
		w, store := newWorld(t), &savedSuccess{}
		w.store = store
		w.restart(func(o *exporter.Options) {
			o.Account, o.Refresher = account, refresh.New(w.source, refresh.Options{Interval: 48 * time.Hour})
		})
		w.put("app", images(1)...)
		for range 30 {
			_, err := w.run(time.Minute)
			w.check(err)
			if age := time.Since(store.at); age > 70*time.Minute {
				t.Errorf("the stored success is %s old", age)
			}
			time.Sleep(10 * time.Minute)
		}
		if store.saves > 7 {
			t.Errorf("saved %d times in five hours", store.saves)
		}
	})
}
