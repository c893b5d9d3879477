package ecrtest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// startPipe serves a generated registry in memory; to be called in a bubble.
func startPipe(t *testing.T, repositories, tagged int) (*ecrtest.Registry, *ecrtest.Server, *ecr.Client) {
	t.Helper()
	reg := generate(t, 1, ecrtest.RealisticShape(repositories, tagged, now))
	srv := ecrtest.StartPipe(t, reg)
	return reg, srv, newClient(srv)
}

// The SDK's client runs in a bubble: a thousand calls that take a minute and more
// each take no time, and add up exactly.
func TestLatencyIsVirtual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg, srv, client := startPipe(t, 20, 500)
		srv.SetLatency("", 40*time.Millisecond, 0)
		srv.SetLatency("DescribeRegistry", time.Minute, 0)
		began := time.Now()
		total := 0
		for _, repo := range reg.Repositories() {
			for _, page := range describeAll(t, client, &ecr.DescribeImagesInput{RepositoryName: &repo.Name}, nil) {
				total += len(page)
			}
		}
		if want := reg.Totals(); total != want.TaggedImages+want.Untagged {
			t.Errorf("read %d images of %+v", total, want)
		}
		if got, want := time.Since(began), time.Duration(srv.Calls()["DescribeImages"])*40*time.Millisecond; got != want {
			t.Errorf("%d calls took %v, want %v", srv.Calls()["DescribeImages"], got, want)
		}
		if _, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}); err != nil {
			t.Error(err)
		}
		if got, want := time.Since(began), time.Duration(srv.Calls()["DescribeImages"])*40*time.Millisecond+time.Minute; got != want {
			t.Errorf("with a slow operation: %v, want %v", got, want)
		}
	})
}

// Calls at once wait at once, each with its own part of jitter, the same each time.
func TestJitter(t *testing.T) {
	t.Parallel()
	took := func() (all []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			_, srv, client := startPipe(t, 0, 0)
			srv.SetLatency("DescribeRegistry", time.Second, time.Second)
			for range 20 {
				began := time.Now()
				if _, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}); err != nil {
					t.Error(err)
				}
				all = append(all, time.Since(began))
			}
		})
		return all
	}
	first := took()
	different := make(map[time.Duration]bool)
	for _, d := range first {
		different[d] = true
		if d < time.Second || d >= 2*time.Second {
			t.Errorf("took %v", d)
		}
	}
	if len(different) < 10 {
		t.Errorf("no jitter: %v", first)
	}
	if diff := cmp.Diff(first, took()); diff != "" {
		t.Errorf("another time, other jitter:\n%s", diff)
	}
}

// The token bucket lets a burst through, then so many a second.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, srv, client := startPipe(t, 0, 0)
		srv.SetRate("DescribeRegistry", 2, 5)
		burst := func() (admitted int) {
			for range 10 {
				_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
				if err == nil {
					admitted++
					continue
				}
				checkCode(t, "over the rate", err, "ThrottlingException", "Rate exceeded")
			}
			return admitted
		}
		got := []int{burst(), burst()}
		time.Sleep(time.Second)
		got = append(got, burst())
		time.Sleep(time.Hour)
		got = append(got, burst())
		if _, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
			t.Errorf("another operation: %v", err)
		}
		srv.SetRate("DescribeRegistry", 0, 0)
		got = append(got, burst())
		if diff := cmp.Diff([]int{5, 0, 2, 5, 10}, got); diff != "" {
			t.Error(diff)
		}
		if got, want := srv.Errors()["ThrottlingException"], 5+10+8+5; got != want {
			t.Errorf("%d throttles counted, want %d", got, want)
		}
	})
}

// A client that disconnects ends its request on the server during any wait.
func TestCancellation(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]func(*ecrtest.Server){
		"before the answer": func(s *ecrtest.Server) { s.SetLatency("", time.Hour, 0) },
		"in the answer": func(s *ecrtest.Server) {
			s.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.Fault{BodyDelay: time.Hour})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, srv, client := startPipe(t, 3, 3)
				delay(srv)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				synctest.Wait()
				if got := srv.Errors()["cancelled"]; got != 1 || time.Since(began) != 3*time.Second {
					t.Errorf("%d requests cancelled after %v", got, time.Since(began))
				}
			})
		})
	}
}

// A body that comes slowly comes whole.
func TestBodyDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, srv, client := startPipe(t, 7, 7)
		srv.Fail(ecrtest.Match{}, 1, ecrtest.Fault{BodyDelay: time.Minute})
		began := time.Now()
		out, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
		if err != nil || len(out.Repositories) != 7 || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Close ends the requests in flight, and their clients get errors.
func TestClose(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]func(*ecrtest.Server) error{"socket": (*ecrtest.Server).Listen, "pipe": (*ecrtest.Server).ListenPipe} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := ecrtest.New(ecrtest.NewRegistry(account, region))
			if srv.URL() != "" || srv.Client() != nil {
				t.Error("it serves before it listens")
			}
			if err := listen(srv); err != nil {
				t.Fatal(err)
			}
			if err := listen(srv); err == nil {
				t.Error("it listens twice")
			}
			srv.SetLatency("", time.Hour, 0)
			client := newClient(srv)
			arrived := make(chan error, 1)
			go func() {
				_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
				arrived <- err
			}()
			for srv.MaxInFlight() == 0 {
				time.Sleep(time.Millisecond)
			}
			srv.Close()
			srv.Close()
			if err := <-arrived; err == nil {
				t.Error("a call that was cut off succeeded")
			}
			if got := srv.Errors()["cancelled"]; got != 1 {
				t.Errorf("%d requests cancelled", got)
			}
			if _, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}); err == nil {
				t.Error("a call after Close succeeded")
			}
			if err := listen(srv); err == nil {
				t.Error("it listens after Close")
			}
		})
	}
	ecrtest.New(ecrtest.NewRegistry(account, region)).Close() // that never listened
}

// Readers, writers and those who give orders at once: for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	reg := generate(t, 1, ecrtest.RealisticShape(4, 60, now))
	srv := ecrtest.Start(t, reg)
	client := newClient(srv)
	policy := parsePolicy(t, `{"Statement": {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}}`)
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for range 4 {
				for _, repo := range reg.Repositories() {
					pages := describeAll(t, client, &ecr.DescribeImagesInput{RepositoryName: &repo.Name, MaxResults: aws.Int32(50)}, nil)
					if len(pages) == 0 {
						t.Error("no page")
					}
				}
			}
		})
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 0))
			for range 50 {
				reg.Mutate(rng, now)
			}
		})
	}
	all.Go(func() {
		for range 50 {
			srv.SetPolicy(policy)
			srv.SetLatency("", time.Microsecond, time.Microsecond)
			srv.SetRate("DescribeImages", 1e9, 1e9)
			srv.SetPageLimit("DescribeImages", 60)
			srv.RequireAccessKey(key)
			srv.AddRegistry(ecrtest.NewRegistry("999999999999", region))
			srv.Before(ecrtest.Match{}, 1, func(r ecrtest.Request) { reg.Images(r.RepositoryName) })
			srv.Requests()
			srv.Calls()
			srv.Errors()
			reg.Totals()
		}
	})
	all.Wait()
}

// BenchmarkDescribeImages is the cost of a page of 1,000 images on this side and
// the SDK's together.
func BenchmarkDescribeImages(b *testing.B) {
	shape := ecrtest.RealisticShape(1, 5_000, now)
	srv := ecrtest.Start(b, generate(b, 1, shape))
	client := newClient(srv)
	repos, err := client.DescribeRepositories(b.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		b.Fatal(err)
	}
	in := &ecr.DescribeImagesInput{RepositoryName: repos.Repositories[0].RepositoryName, MaxResults: aws.Int32(1000)}
	b.ReportAllocs()
	for b.Loop() {
		out, err := client.DescribeImages(b.Context(), in)
		if err != nil || len(out.ImageDetails) != 1000 {
			b.Fatal(out, err)
		}
	}
}
