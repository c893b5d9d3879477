package auth_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

const roleARN = "arn:aws:iam::210987654321:role/prometheus-writer"

// sts answers AssumeRole as AWS STS does: a form in, XML out.
type sts struct {
	mu       sync.Mutex
	code     string // if set, the error to answer with
	lifetime time.Duration
	calls    []string
}

// Do implements aws.HTTPClient, in memory, so that it works in virtual time.
func (s *sts) Do(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, req)
	return recorder.Result(), nil
}

func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	s.calls = append(s.calls, strings.Join([]string{
		r.URL.Host, scope[2], r.Form.Get("Action"), r.Form.Get("RoleArn"), r.Form.Get("RoleSessionName"),
		r.Form.Get("DurationSeconds"), r.Form.Get("ExternalId"),
	}, " "))
	w.Header().Set("Content-Type", "text/xml")
	if s.code != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>told to</Message></Error></ErrorResponse>`, s.code)
		return
	}
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::210987654321:assumed-role/prometheus-writer/x</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>planted-secret-key</SecretAccessKey><SessionToken>planted-secret-token</SessionToken>
<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, len(s.calls), time.Now().Add(s.lifetime).UTC().Format(time.RFC3339))
}

func (s *sts) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// fail makes it answer with an error; empty ends that.
func (s *sts) fail(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func (s *sts) config(t *testing.T) aws.Config {
	return aws.Config{
		Region: "eu-west-1", HTTPClient: s,
		Credentials:   awscredentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-base", ""),
		ClientLogMode: aws.LogRequestWithBody | aws.LogResponseWithBody | aws.LogSigning,
		Logger:        logging.NewStandardLogger(t.Output()),
	}
}

// TestAssumeRole: one call, to the Region's endpoint, for all who need credentials, and
// another a minute before they expire.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sts{lifetime: time.Hour}
		provider := auth.AssumeRole(s.config(t), roleARN, "external-id-1")
		retrieve := func() string {
			creds, err := provider.Retrieve(t.Context())
			if err != nil {
				t.Error(err)
			}
			if creds.SecretAccessKey != "planted-secret-key" || creds.SessionToken != "planted-secret-token" {
				t.Errorf("other credentials")
			}
			return creds.AccessKeyID
		}
		if got := s.took(); len(got) > 0 {
			t.Errorf("%v before they were needed", got)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { retrieve() })
		}
		all.Wait()
		want := "sts.eu-west-1.amazonaws.com eu-west-1 AssumeRole " + roleARN + " ecr-remote-write 3600 external-id-1"
		if diff := cmp.Diff([]string{want}, s.took()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(59*time.Minute - 2*time.Second)
		retrieve()
		if got := s.took(); len(got) != 0 {
			t.Errorf("%v more than a minute before the end", got)
		}
		time.Sleep(3 * time.Second)
		retrieve()
		if diff := cmp.Diff([]string{want}, s.took()); diff != "" {
			t.Error(diff)
		}
		s.fail("AccessDenied")
		time.Sleep(time.Hour)
		if _, err := provider.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "AssumeRole") || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("error %v", err)
		}
	})
}

// TestRoleSigns: the receiver checks that requests are signed by the role. After a 403
// the role is assumed again.
func TestRoleSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sts{lifetime: time.Hour}
		to := remotewritetest.NewPipe(t, remotewritetest.Options{SigV4: &remotewritetest.SigV4{
			AccessKeyID: "ASIA2", SecretAccessKey: "planted-secret-key", SessionToken: "planted-secret-token", Region: "eu-west-1", Service: "aps",
		}})
		to.Answer(remotewritetest.Answer{Status: 403, Unread: true, Body: `{"message":"The security token included in the request is expired"}`})
		rt := newSigV4(t, auth.AssumeRole(s.config(t), roleARN, ""), to.Transport)
		for _, want := range []int{403, 204} {
			if status, text := send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t)))); status != want {
				t.Errorf("HTTP %d %s", status, text)
			}
		}
		if got := s.took(); len(got) != 2 || strings.Contains(got[0], "external") {
			t.Errorf("calls %q", got)
		}
	})
}
