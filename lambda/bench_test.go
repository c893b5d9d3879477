package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// BenchmarkRefresh reads 200 repositories of 50 images each from an API that takes 50 ms for
// a call. path=sequential makes the same calls one after the other, for comparison.
func BenchmarkRefresh(b *testing.B) {
	const repositories, images, latency = 200, 50, 50 * time.Millisecond
	registry := ecrtest.NewRegistry(account, region)
	for r := range repositories {
		name := fmt.Sprintf("team/app-%d", r)
		if err := registry.PutRepository(ecrtest.Repository{Name: name}); err != nil {
			b.Fatal(err)
		}
		for i := range images {
			if err := registry.PutImage(name, ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(r, i)), Tags: []string{fmt.Sprint("v", i)}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	server := ecrtest.Start(b, registry)
	server.SetLatency("", latency, 0)
	source := func(perSecond float64) *ecr.Client {
		return ecr.New(aws.Config{
			Region: region, BaseEndpoint: aws.String(server.URL()), HTTPClient: server.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
		}, ecr.Options{Limiter: awsapi.NewLimiter(perSecond)})
	}
	for _, c := range []struct {
		name        string
		perSecond   float64
		concurrency int
	}{
		{"sequential", 1000, 1},
		{"default", 20, 8}, // bounded by ECR_REQUESTS_PER_SECOND=20
		{"200-a-second", 200, 8},
	} {
		b.Run("path="+c.name, func(b *testing.B) {
			for b.Loop() {
				known := &inventory.Registry{}
				result := refresh.New(source(c.perSecond), refresh.Options{Interval: time.Hour, Concurrency: c.concurrency}).Run(b.Context(), known, time.Now())
				if result.Err != nil || result.Refreshed != repositories {
					b.Fatalf("%+v", result)
				}
			}
		})
	}
}

// BenchmarkInit measures the median and shortest time from the start of the process to its
// first request for an event, and that of a handler that does nothing for comparison.
func BenchmarkInit(b *testing.B) {
	for _, c := range []struct{ name, source string }{{"trivial", "./testdata/trivial"}, {"bootstrap", "."}} {
		b.Run("path="+c.name, func(b *testing.B) {
			program := filepath.Join(b.TempDir(), "bootstrap")
			// As GOBUILD in the Makefile, which builds the deployed program.
			build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w -X main.version=v0.0.0", "-o", program, c.source)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				b.Fatalf("go build: %v\n%s", err, out)
			}
			var all []time.Duration
			for b.Loop() {
				all = append(all, initDuration(b, program))
			}
			slices.Sort(all)
			b.ReportMetric(0, "ns/op") // it would include the end of the process
			b.ReportMetric(all[len(all)/2].Seconds(), "sec/init")
			b.ReportMetric(all[0].Seconds(), "sec/init-min")
		})
	}
}

func initDuration(b *testing.B, program string) time.Duration {
	b.Helper()
	environment, err := lambdatest.Start(context.Background(), lambdatest.Function{
		Path: program, Env: []string{"REMOTE_WRITE_URL=https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"},
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := environment.Close(); err != nil {
		b.Fatal(err)
	}
	return environment.InitDuration()
}
