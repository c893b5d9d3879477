package secret_test

import (
	"context"
	"errors"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// virtual runs a test of one secret in virtual time.
func virtual(t *testing.T, test func(t *testing.T, s *service, made *secret.Secret)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startPipe(t)
		test(t, s, newSecret(t, s.resolver(t), "secretsmanager:name"))
	})
}

// wantCalls checks how many calls there were since it was last called.
func wantCalls(t *testing.T, s *service, want int, when string) {
	t.Helper()
	if calls := s.took(); len(calls) != want {
		t.Errorf("%s: %d calls, want %d: %v", when, len(calls), want, calls)
	}
}

// TestRefused: a refused secret is read again, so that a rotation is seen, at most every
// ten seconds.
func TestRefused(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", planted+"-1")
		wantValue(t, made, planted+"-1")
		wantCalls(t, s, 1, "first")
		time.Sleep(100 * time.Hour)
		s.set("name", planted+"-2")
		wantValue(t, made, planted+"-1")
		wantCalls(t, s, 0, "rotated and not yet refused")

		made.Refused(planted + "-1")
		wantCalls(t, s, 0, "by the refusal itself")
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 1, "after the refusal")
		time.Sleep(time.Hour)
		made.Refused(planted + "-1")
		made.Refused("something else")
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 0, "after the late refusal of an old value")

		made.Refused(planted + "-2")
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 1, "after the refusal of the current value")
		made.Refused(planted + "-2")
		s.set("name", planted+"-3")
		time.Sleep(9 * time.Second)
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 0, "within ten seconds")
		time.Sleep(time.Second)
		wantValue(t, made, planted+"-3")
		wantCalls(t, s, 1, "ten seconds later")
	})
}

// TestNewRun: a secret that was refused in the previous run is read again in the next one,
// however soon that is; one that was not refused is not.
func TestNewRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startPipe(t)
		resolver := s.resolver(t)
		made := newSecret(t, resolver, "secretsmanager:name")
		s.set("name", planted+"-1")
		wantValue(t, made, planted+"-1")
		made.Refused(planted + "-1")
		time.Sleep(2 * time.Second)
		s.set("name", planted+"-2")
		wantValue(t, made, planted+"-1")
		wantCalls(t, s, 1, "in the run of the refusal")
		resolver.NewRun()
		wantValue(t, made, planted+"-2")
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 1, "in the next run")
		resolver.NewRun()
		wantValue(t, made, planted+"-2")
		wantCalls(t, s, 0, "in a run after no refusal")
	})
}

// TestUntraced: what traces a caller's request does not see the request for its secret.
func TestUntraced(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", planted)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteHeaderField: func(name string, _ []string) { t.Errorf("header %s was traced", name) },
		})
		if value, err := made.Value(ctx); err != nil || value != planted {
			t.Errorf("value %q, error %v", value, err)
		}
	})
}

// TestAlwaysRefused: a receiver that refuses whatever it gets costs one call every
// ten seconds.
func TestAlwaysRefused(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", planted)
		for range 600 {
			value, err := made.Value(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			made.Refused(value)
			time.Sleep(time.Second)
		}
		wantCalls(t, s, 60, "in ten minutes")
	})
}

// TestRefusedAndFails: the last value is used on if it cannot be read again.
func TestRefusedAndFails(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", planted)
		wantValue(t, made, planted)
		s.set("name", failure{400, "AccessDeniedException"})
		time.Sleep(time.Hour)
		made.Refused(planted)
		for range 8 {
			wantValue(t, made, planted)
			time.Sleep(time.Second)
		}
		wantCalls(t, s, 2, "in all")
		s.set("name", planted+"-2")
		time.Sleep(2 * time.Second)
		wantValue(t, made, planted+"-2")
	})
}

// TestFailure: a failed read is not repeated for ten seconds.
func TestFailure(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", failure{400, "ResourceNotFoundException"})
		for range 20 {
			if _, err := made.Value(t.Context()); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
				t.Fatalf("error %v", err)
			}
			time.Sleep(400 * time.Millisecond)
		}
		wantCalls(t, s, 1, "within ten seconds")
		s.set("name", planted)
		time.Sleep(2 * time.Second)
		wantValue(t, made, planted)
		wantCalls(t, s, 1, "later")
	})
}

// TestRetried: the SDK makes three attempts, and the failure is not permanent.
func TestRetried(t *testing.T) {
	for _, f := range []failure{{400, "ThrottlingException"}, {500, "InternalServerError"}} {
		t.Run(f.code, func(t *testing.T) {
			virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
				s.set("name", f)
				_, err := made.Value(t.Context())
				var e *secret.Error
				if !errors.As(err, &e) || e.Permanent() || !strings.Contains(err.Error(), f.code) {
					t.Errorf("error %v", err)
				}
				wantCalls(t, s, 3, f.code)
			})
		})
	}
}

// TestNoAnswer: a read takes at most 8 s, and a caller waits no longer than its context
// allows.
func TestNoAnswer(t *testing.T) {
	virtual(t, func(t *testing.T, s *service, made *secret.Secret) {
		s.set("name", planted)
		s.hold = make(chan struct{})
		for _, tt := range []struct{ mine, want time.Duration }{
			{time.Second, time.Second}, {time.Hour, 7 * time.Second}, // of the same read
		} {
			ctx, cancel := context.WithTimeout(t.Context(), tt.mine)
			begin := time.Now()
			_, err := made.Value(ctx)
			cancel()
			var e *secret.Error
			if !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || e.Permanent() {
				t.Errorf("error %v", err)
			}
			if took := time.Since(begin); took != tt.want {
				t.Errorf("took %s, want %s", took, tt.want)
			}
		}
		close(s.hold)
		time.Sleep(10 * time.Second)
		wantValue(t, made, planted)
	})
}

// TestPutRight: a secret that was not what it should be is read again, at most every
// ten seconds.
func TestPutRight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startPipe(t)
		made := newSecret(t, s.resolver(t), "secretsmanager:name#token")
		s.set("name", `{"Token":"`+planted+`"}`)
		for range 300 {
			if _, err := made.Value(t.Context()); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(time.Second)
		}
		wantCalls(t, s, 30, "in five minutes")
		s.set("name", `{"token":"`+planted+`"}`)
		time.Sleep(time.Minute)
		wantValue(t, made, planted)
	})
}

// TestLiteral: it does not change.
func TestLiteral(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := newSecret(t, s.resolver(t), planted)
	made.Refused(planted)
	wantValue(t, made, planted)
	wantCalls(t, s, 0, "literal")
}
