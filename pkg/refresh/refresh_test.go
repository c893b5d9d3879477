package refresh_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const interval = 30 * time.Minute

// world is a simulated registry, a refresher of it, and the inventory.
type world struct {
	*testing.T
	registry  *ecrtest.Registry
	server    *ecrtest.Server
	refresher *refresh.Refresher
	known     *inventory.Registry
	log       bytes.Buffer
	atOnce    int // concurrent calls of the refresher that scanning makes; 0 means 4
	selection *selection.Selection
	// keeps is Options.Keeps of a refresher that scanning makes.
	keeps func(*inventory.Image, time.Time) bool
}

// newWorld has repositories repo-0 and so on, each with images v0 and so on.
func newWorld(t *testing.T, repositories, images int) *world {
	t.Helper()
	w := &world{T: t, registry: ecrtest.NewRegistry("123456789012", "eu-west-1"), known: &inventory.Registry{}}
	for r := range repositories {
		name := fmt.Sprint("repo-", r)
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: name, CreatedAt: time.Unix(1, 0)}))
		for i := range images {
			w.put(name, fmt.Sprint("v", i))
		}
	}
	w.server = ecrtest.StartPipe(t, w.registry)
	w.restart()
	return w
}

// restart makes a new refresher, as a new execution environment does.
func (w *world) restart() {
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	client := ecr.New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(w.server.URL()), HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, ecr.Options{Limiter: awsapi.NewLimiter(1000)})
	w.refresher = refresh.New(client, w.selecting(refresh.Options{Interval: interval, Concurrency: 4, Logger: log}))
}

// selecting adds the world's filters.
func (w *world) selecting(options refresh.Options) refresh.Options {
	if w.selection != nil {
		options.Includes, options.Select = w.selection.Repository, w.selection.Apply
	}
	return options
}

func (w *world) put(repository, tag string) {
	w.Helper()
	w.check(w.registry.PutImage(repository, ecrtest.Image{Digest: ecrtest.Digest(repository + tag), Tags: []string{tag}, PushedAt: time.Now()}))
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// run refreshes within a budget; zero means none.
func (w *world) run(budget time.Duration) refresh.Result {
	w.Helper()
	ctx := w.Context()
	if budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, budget)
		defer cancel()
	}
	return w.refresher.Run(ctx, w.known, time.Now())
}

// want compares a result. text is part of its error; empty if there is to be none.
func (w *world) want(got, want refresh.Result, text string) {
	w.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(refresh.Result{}, "Err")); diff != "" {
		w.Errorf("result (-want +got):\n%s", diff)
	}
	if (got.Err == nil) != (text == "") || got.Err != nil && !strings.Contains(got.Err.Error(), text) {
		w.Errorf("error %v, want one with %q", got.Err, text)
	}
}

// tags are the tags of a repository in the inventory.
func (w *world) tags(repository string) []string {
	known := w.known.Find(repository)
	if known == nil {
		return nil
	}
	var tags []string
	for _, image := range known.Images {
		tags = append(tags, image.Tags...)
	}
	slices.Sort(tags)
	return tags
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	bubble(t, "nothing is due before the interval is over", func(t *testing.T) {
		w := newWorld(t, 5, 3)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 5, Refreshed: 5}, "")
		w.server.ResetObserved()
		time.Sleep(interval - time.Millisecond)
		result := w.run(0)
		w.want(result, refresh.Result{}, "")
		if result.Changed() || len(w.server.Calls()) != 0 {
			t.Errorf("calls %v although nothing is due", w.server.Calls())
		}
		w.put("repo-1", "new")
		time.Sleep(time.Millisecond)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 5, Refreshed: 5}, "")
		if diff := cmp.Diff([]string{"new", "v0", "v1", "v2"}, w.tags("repo-1")); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	})
	bubble(t, "a repository is created, deleted, or missing after it was listed", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.run(0)
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "new"}))
		w.registry.DeleteRepository("repo-0")
		w.server.Vanish("repo-1")
		time.Sleep(interval)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 3, Refreshed: 2, Gone: 1}, "")
		var names []string
		for _, repository := range w.known.Repositories {
			names = append(names, repository.Name)
		}
		if diff := cmp.Diff([]string{"new", "repo-2"}, names); diff != "" {
			t.Errorf("repositories (-want +got):\n%s", diff)
		}
	})
	bubble(t, "a denied repository keeps its records and is due after an interval", func(t *testing.T) {
		w := newWorld(t, 3, 2)
		w.run(0)
		policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
			{"Effect":"Deny","Action":"ecr:DescribeImages","Resource":"` + w.registry.ARN("repo-1") + `"}]}`))
		w.check(err)
		w.server.SetPolicy(policy)
		w.put("repo-1", "unseen")
		time.Sleep(interval)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 3, Refreshed: 2, Denied: 1}, "repository repo-1: operation error ECR: DescribeImages, permission denied")
		if diff := cmp.Diff([]string{"v0", "v1"}, w.tags("repo-1")); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
		if !strings.Contains(w.log.String(), "repository=repo-1") {
			t.Errorf("the log does not name the repository:\n%s", &w.log)
		}
		time.Sleep(interval / 2)
		w.want(w.run(0), refresh.Result{}, "")
		w.server.SetPolicy(nil)
		time.Sleep(interval / 2)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 3, Refreshed: 3}, "")
		if len(w.tags("repo-1")) != 3 {
			t.Errorf("tags %v after the permission was given", w.tags("repo-1"))
		}
	})
	bubble(t, "a failed repository is retried by the next run, after the others", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.server.Fail(ecrtest.Match{RepositoryName: "repo-0"}, 8, ecrtest.FaultServer)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 3, Refreshed: 2, Failed: 1}, "repository repo-0: ")
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "zz-new"}))
		w.known.ListedAt = 0
		w.server.ResetObserved()
		w.refresher = refresh.New(w.source(), refresh.Options{Interval: interval, Concurrency: 1})
		w.want(w.run(0), refresh.Result{Listed: true, Due: 2, Refreshed: 2}, "")
		var order []string
		for _, request := range w.server.Requests()[1:] {
			order = append(order, request.RepositoryName)
		}
		if diff := cmp.Diff([]string{"zz-new", "repo-0"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
	bubble(t, "images are refreshed even if listing the repositories fails", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		w.put("repo-1", "new")
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 8, ecrtest.FaultServer)
		w.want(w.run(0), refresh.Result{Due: 2, Refreshed: 2}, "listing repositories: ")
		if len(w.tags("repo-1")) != 2 {
			t.Errorf("tags %v", w.tags("repo-1"))
		}
	})
	bubble(t, "the ID of an empty registry is from DescribeRegistry", func(t *testing.T) {
		w := newWorld(t, 0, 0)
		w.want(w.run(0), refresh.Result{Listed: true}, "")
		if w.known.ID != "123456789012" || w.known.ListedAt.IsZero() {
			t.Errorf("known %+v", w.known)
		}
	})
	bubble(t, "errors are bounded", func(t *testing.T) {
		w := newWorld(t, 20, 0)
		policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"*"}}`))
		w.check(err)
		w.server.SetPolicy(policy)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 20, Denied: 20}, "15 more errors")
		if n := strings.Count(w.log.String(), "level=WARN"); n != 6 || !strings.Contains(w.log.String(), "more warnings were left out\" count=15") {
			t.Errorf("%d warnings, want 5 and their number:\n%s", n, &w.log)
		}
	})
}

func (w *world) source() refresh.Source {
	return ecr.New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(w.server.URL()), HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, ecr.Options{Limiter: awsapi.NewLimiter(1000)})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	bubble(t, "all repositories are read over several runs", func(t *testing.T) {
		w := newWorld(t, 20, 1)
		w.server.SetLatency("DescribeImages", time.Second, 0)
		// Four at once, one second each, for 2.5 seconds.
		left := 20
		for run := range 3 {
			result := w.run(2500 * time.Millisecond)
			left -= 8
			w.want(result, refresh.Result{Listed: run == 0, Due: left + 8, Refreshed: min(8, left+8), Left: max(0, left)}, "")
			time.Sleep(time.Minute)
		}
		if !w.known.OldestRead().Time().After(time.Now().Add(-interval)) {
			t.Error("not everything was read")
		}
		// Those that the end of a run interrupted are requested again.
		if n := w.server.Calls()["DescribeImages"]; n < 20 || n > 28 {
			t.Errorf("%d calls", n)
		}
	})
	bubble(t, "the next run continues the listing of a large repository", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		for i := range 50 {
			w.put("repo-0", fmt.Sprint("v", i))
		}
		w.server.SetPageLimit("DescribeImages", 10)
		w.server.SetLatency("DescribeImages", time.Second, 0)
		started := time.Now()
		w.want(w.run(2500*time.Millisecond), refresh.Result{Listed: true, Due: 1, Left: 1}, "")
		time.Sleep(time.Minute)
		w.want(w.run(2500*time.Millisecond), refresh.Result{Due: 1, Left: 1}, "")
		if got := w.known.Find("repo-0").Images; got != nil {
			t.Errorf("%d images of an unfinished listing are shown", len(got))
		}
		time.Sleep(time.Minute)
		w.want(w.run(2500*time.Millisecond), refresh.Result{Due: 1, Refreshed: 1}, "")
		repository := w.known.Find("repo-0")
		if len(repository.Images) != 50 || repository.ImagesReadAt != inventory.TimeOf(started) {
			t.Errorf("%d images as of %v, want 50 as of %v", len(repository.Images), repository.ImagesReadAt.Time(), started)
		}
	})
	bubble(t, "a token that is no longer valid restarts the listing", func(t *testing.T) {
		w := newWorld(t, 1, 30)
		w.server.SetPageLimit("DescribeImages", 10)
		w.server.SetLatency("DescribeImages", time.Second, 0)
		w.want(w.run(1500*time.Millisecond), refresh.Result{Listed: true, Due: 1, Left: 1}, "")
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 1, ecrtest.Fault{Status: 400, Code: "InvalidParameterException", Message: "Invalid parameter at 'NextToken'"})
		w.want(w.run(0), refresh.Result{Due: 1, Refreshed: 1}, "")
		if n := len(w.known.Find("repo-0").Images); n != 30 {
			t.Errorf("%d images, want 30", n)
		}
	})
	bubble(t, "tokens that are never valid are an error", func(t *testing.T) {
		w := newWorld(t, 1, 30)
		w.server.SetPageLimit("DescribeImages", 10)
		w.server.Before(ecrtest.Match{Operation: "DescribeImages"}, ecrtest.Always, func(r ecrtest.Request) {
			if r.NextToken != "" {
				w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 1, ecrtest.Fault{Status: 400, Code: "InvalidParameterException"})
			}
		})
		w.want(w.run(0), refresh.Result{Listed: true, Due: 1, Failed: 1}, "page token no longer valid")
	})
	bubble(t, "an outage until the end of the budget is an error", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.run(0)
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, ecrtest.Always, ecrtest.FaultServer)
		w.want(w.run(3*time.Second), refresh.Result{Listed: true, Due: 3, Left: 3}, "no page of images within the time for refreshing")
		if len(w.tags("repo-1")) != 1 {
			t.Error("records were lost")
		}
	})
}

// If a tag moves while pages are read, one image has it afterwards.
func TestTagMovesBetweenPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 40)
		w.check(w.registry.Tag("repo-0", ecrtest.Digest("repo-0v0"), "latest"))
		w.server.SetPageLimit("DescribeImages", 5)
		time.Sleep(time.Minute)
		var n int
		w.server.Before(ecrtest.Match{Operation: "DescribeImages"}, ecrtest.Always, func(ecrtest.Request) {
			n++
			w.check(w.registry.PutImage("repo-0", ecrtest.Image{
				Digest: ecrtest.Digest(fmt.Sprint("moved", n)), Tags: []string{"latest"}, PushedAt: time.Now().Add(time.Duration(n) * time.Second),
			}))
		})
		w.run(0)
		if got := strings.Count(strings.Join(w.tags("repo-0"), " "), "latest"); got != 1 {
			t.Errorf("latest names %d images", got)
		}
	})
}

// The concurrency is used and not exceeded, and progress is reported in order.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40, 1)
		w.server.SetLatency("DescribeImages", time.Second, time.Second)
		var done []int
		w.refresher = refresh.New(w.source(), refresh.Options{Interval: interval, Concurrency: 7, Progress: func(_ string, n, due int) {
			if done = append(done, n); due != 40 {
				t.Errorf("progress says %d are due, want 40", due)
			}
		}})
		w.want(w.run(0), refresh.Result{Listed: true, Due: 40, Refreshed: 40}, "")
		if got := w.server.MaxInFlight(); got != 7 {
			t.Errorf("%d requests at once, want 7", got)
		}
		if !slices.IsSorted(done) || len(done) != 40 {
			t.Errorf("progress %v", done)
		}
	})
}
