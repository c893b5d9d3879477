package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestExpired: credentials that AWS says have expired are asked for anew, and the
// request is signed with them and sent again; at most once a minute.
func TestExpired(t *testing.T) {
	t.Parallel()
	expired := []remotewritetest.Answer{
		{Status: 403, Body: `{"message":"The security token included in the request is expired"}`},
		{Status: 403, Header: http.Header{"X-Amzn-Errortype": {"ExpiredTokenException:http://internal.amazon.com/"}}},
		{Status: 403, Body: "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"},
	}
	for i, answer := range expired {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(answer)
				c := &serial{}
				rt := newSigV4(t, aws.NewCredentialsCache(c), to.Transport)
				post := func() (int, string) {
					return send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t))))
				}
				if status, text := post(); status != 204 {
					t.Errorf("HTTP %d %s", status, text)
				}
				to.Answer(answer, answer)
				if status, text := post(); status != 403 || text != answer.Body {
					t.Errorf("HTTP %d %s", status, text)
				}
				time.Sleep(time.Minute)
				if status, text := post(); status != 204 {
					t.Errorf("HTTP %d %s", status, text)
				}
				var keys []string
				for _, r := range to.Requests() {
					_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
					key, _, _ = strings.Cut(key, "/")
					keys = append(keys, key)
				}
				if diff := cmp.Diff([]string{"AKID1", "AKID2", "AKID2", "AKID2", "AKID3"}, keys); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
	t.Run("not expired", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			body := `{"message":"User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized"}` + strings.Repeat("x", 10_000)
			to.Answer(remotewritetest.Answer{Status: 403, Body: body})
			c := &serial{}
			rt := newSigV4(t, aws.NewCredentialsCache(c), to.Transport)
			if status, text := send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t)))); status != 403 || text != body {
				t.Errorf("HTTP %d %s", status, text)
			}
			if c.n != 1 || len(to.Requests()) != 1 {
				t.Errorf("%d credentials, %d requests", c.n, len(to.Requests()))
			}
		})
	})
}

// serial gives other credentials each time.
type serial struct{ n int }

func (s *serial) Retrieve(context.Context) (aws.Credentials, error) {
	s.n++
	return aws.Credentials{AccessKeyID: fmt.Sprint("AKID", s.n), SecretAccessKey: "planted-secret"}, nil
}
