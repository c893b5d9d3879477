package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestSignedRetries: the receiver verifies every attempt's signature. A retry has the
// same body and a signature of its own.
func TestSignedRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{SigV4: &remotewritetest.SigV4{
			AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "planted-secret-key", SessionToken: "planted-secret-token",
			Region: "eu-west-1", Service: "aps",
		}})
		wait := http.Header{"Retry-After": {"60"}}
		to.Answer(answers{{Status: 503, Header: wait}, {Close: true}, {Status: 429, Header: wait}}...)
		provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "planted-secret-key", SessionToken: "planted-secret-token"}, nil
		})
		signed, err := auth.NewSigV4("eu-west-1", provider, to.Transport)
		if err != nil {
			t.Fatal(err)
		}
		s := newSender(t, to, func(o *Options) { o.Client = &http.Client{Transport: signed} })
		start := time.Now()
		report, err := s.Push(t.Context(), at, images(100), families)
		checkReport(t, report, err)
		if err != nil || report.Retries != 3 {
			t.Fatalf("%+v, %v", report, err)
		}
		checkArrived(t, to, 100)
		all := to.Requests()
		dates, signatures := make([]string, len(all)), make(map[string]bool)
		for i, r := range all {
			dates[i] = r.Header.Get("X-Amz-Date")
			signatures[r.Header.Get("Authorization")] = true
		}
		for i := 1; i < 4; i++ {
			if all[i].Sum != all[0].Sum {
				t.Errorf("attempt %d has another body", i+1)
			}
		}
		// The second and third attempt are within a second of each other.
		if diff := cmp.Diff([]string{"20000101T000000Z", "20000101T000100Z", "20000101T000100Z", "20000101T000200Z", "20000101T000200Z"}, dates); diff != "" {
			t.Error(diff)
		}
		if len(signatures) != 4 {
			t.Errorf("%d different signatures", len(signatures))
		}
		if took := time.Since(start); took < 2*time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

// TestNoCredentials: there is no retry, and the error says what was being done.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		missing := errors.New("no EC2 IMDS role found")
		provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, missing })
		signed, err := auth.NewSigV4("eu-west-1", provider, to.Transport)
		if err != nil {
			t.Fatal(err)
		}
		s := newSender(t, to, func(o *Options) { o.Client = &http.Client{Transport: signed} })
		start := time.Now()
		report, err := pushTo(t, s, images(100))
		if report.NotSent != 100 || report.Retries != 0 || time.Since(start) != 0 || !errors.Is(err, missing) {
			t.Errorf("%+v, %v", report, err)
		}
		want := "remote write of 100 series to http://receiver.test/api/v1/write: signing a request to receiver.test " +
			"(SigV4, service aps, region eu-west-1): getting AWS credentials: no EC2 IMDS role found"
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}
