package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestSecrets: neither errors nor logs contain the secrets of the URL or of the
// request's headers, even if the receiver repeats them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const (
		user, password, key = "planted-secret-user", "planted-secret-password", "planted-secret-query"
		bearer, header      = "planted-secret-bearer", "planted-secret-header"
	)
	session := "planted-secret-session-token-" + strings.Repeat("0123456789abcdef", 60)
	secrets := []string{user, password, key, bearer, header, "planted-secret-session-token"}

	for _, tt := range []struct {
		name string
		body string
		want string
	}{
		{"signature mismatch", "The canonical string should have been\nx-amz-security-token:" + session + "\n\nend", "x-amz-security-token:REDACTED\n\nend"},
		{"repeated", strings.Repeat(bearer+" ", 20) + "end", "REDACTED REDACTED end"},
		{"with the word before it", "authorization=Bearer " + bearer + "; end", "authorization=REDACTED; end"},
		{"of any header", "the key " + header + " has expired", "the key REDACTED has expired"},
		{"of the query", "POST /api/v1/write?key=" + key + " is not allowed", "/api/v1/write?REDACTED is not allowed"},
		{"of the query, alone", "no such key: " + key, "no such key: REDACTED"},
		{"of the user", "wrong password: " + password, "wrong password: REDACTED"},
		{"over the end of what is kept", strings.Repeat("x", maxErrorBody-5) + bearer, "xxREDAC"},
		{"over the end of what is read", strings.Repeat(session, maxBodyRead/len(session)) + strings.Repeat("x", maxBodyRead%len(session)-20) + session, "xxREDACTED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(slices.Repeat(answers{{Status: 500, Body: tt.body}}, 1000)...)
				u := *to.URL
				u.User = url.UserPassword(user, password)
				u.RawQuery = "key=" + key
				u.Fragment = "frag"
				// On a clone, as authentication does.
				transport := roundTripper(func(req *http.Request) (*http.Response, error) {
					req = req.Clone(req.Context())
					req.Header.Set("Authorization", "Bearer "+bearer)
					req.Header.Set("X-Amz-Security-Token", session)
					req.Header.Set("X-Api-Key", header)
					return to.Transport.RoundTrip(req)
				})
				var log logs
				s := newSender(t, to, func(o *Options) {
					o.URL, o.Client, o.Logger = &u, &http.Client{Transport: transport}, log.logger(t)
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := s.Push(ctx, at, images(3), families)
				var d *DeliveryError
				if !errors.As(err, &d) {
					t.Fatalf("error %v", err)
				}
				if !strings.HasSuffix(d.Body, tt.want) || len(d.Body) > maxErrorBody {
					t.Errorf("body %q", d.Body)
				}
				if !strings.Contains(log.String(), "trying again") {
					t.Error("nothing was logged on the way")
				}
				for _, secret := range secrets {
					if strings.Contains(err.Error(), secret) || strings.Contains(log.String(), secret) {
						t.Errorf("%s shows in %v\n%s", secret, err, &log.buf)
					}
				}
			})
		})
	}

	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Answer{Close: true}, remotewritetest.Answer{Close: true}, remotewritetest.Answer{Close: true})
			u := *to.URL
			u.User = url.UserPassword(user, password)
			u.RawQuery = "key=" + key
			var log logs
			s := newSender(t, to, func(o *Options) { o.URL, o.Logger, o.RetryFor = &u, log.logger(t), 1 })
			_, err := s.Push(t.Context(), at, images(3), families)
			for _, secret := range append(secrets, "Post") { // nor the client's own words
				if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(log.String(), secret) {
					t.Errorf("%s shows in %v\n%s", secret, err, &log.buf)
				}
			}
		})
	})
}
