//go:build unix

package lambdatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// long is a timeout that no test is meant to reach.
const long = time.Minute

// function is the test binary as a function that behaves as named.
func function(t *testing.T, name string) Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Function{Path: self, Env: []string{behaviour + "=" + name}, InitTimeout: long}
}

func start(t *testing.T, f Function) *Environment {
	t.Helper()
	e, err := Start(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func invoke(t *testing.T, e *Environment, event string) Result {
	t.Helper()
	result, err := e.Invoke(t.Context(), []byte(event), long)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func decode[T any](t *testing.T, payload []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(payload, &v); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	return v
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	e := start(t, function(t, "echo"))
	if e.InitDuration() <= 0 {
		t.Errorf("InitDuration is %s", e.InitDuration())
	}
	ids := map[string]bool{}
	for count := 1; count <= 3; count++ {
		before := time.Now()
		result := invoke(t, e, `{"n": 1}`)
		after := time.Now()
		if result.FunctionError != nil {
			t.Fatal(result.FunctionError)
		}
		got := decode[seen](t, result.Payload)
		if string(got.Event) != `{"n":1}` {
			t.Errorf("the event was %s", got.Event)
		}
		if got.Count != count {
			t.Errorf("invocation %d was the process's number %d: not the same process", count, got.Count)
		}
		if got.RequestID != result.RequestID || ids[got.RequestID] || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.RequestID) {
			t.Errorf("request id %q, result has %q, before were %v", got.RequestID, result.RequestID, ids)
		}
		ids[got.RequestID] = true
		if want := "arn:aws:lambda:us-east-1:123456789012:function:ecr-remote-write"; got.ARN != want {
			t.Errorf("ARN %s, want %s", got.ARN, want)
		}
		// The header has whole milliseconds.
		if got.Deadline.Before(before.Add(long-time.Millisecond)) || got.Deadline.After(after.Add(long)) {
			t.Errorf("deadline %s for an invocation from %s to %s with a timeout of %s", got.Deadline, before, after, long)
		}
		if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(got.Trace) {
			t.Errorf("trace id %q", got.Trace)
		}
		if result.Duration <= 0 || result.Duration > after.Sub(before) {
			t.Errorf("Duration is %s of %s", result.Duration, after.Sub(before))
		}
	}
}

func TestInvokeAtOnce(t *testing.T) {
	t.Parallel()
	e := start(t, function(t, "echo"))
	const n = 20
	counts := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			result, err := e.Invoke(t.Context(), []byte(`{}`), long)
			if err != nil {
				t.Error(err)
				return
			}
			var got seen
			if err := json.Unmarshal(result.Payload, &got); err != nil || got.RequestID != result.RequestID {
				t.Errorf("%v, response %s to request %s", err, result.Payload, result.RequestID)
			}
			counts[i] = got.Count
		})
	}
	all.Wait()
	sum := 0
	for _, c := range counts {
		sum += c
	}
	if sum != n*(n+1)/2 {
		t.Errorf("%d invocations were counted as %v", n, counts)
	}
}

func TestInvokeFunctionError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		behaviour  string
		timeout    time.Duration
		want       FunctionError // Message may be a regular expression
		wantErr    error
		wantExit   string // of the process; "" when it goes on
		wantPosted bool
	}{
		{behaviour: "error", want: FunctionError{Type: "errorString", Message: "^ECR said no$"}, wantPosted: true},
		{behaviour: "panic", want: FunctionError{Type: "string", Message: "^a bug$"}, wantPosted: true, wantExit: "exit status 1"},
		{
			behaviour: "exit", wantErr: new(ExitError), wantExit: "exit status 7",
			want: FunctionError{Type: TypeExited, Message: "^RequestId: [-0-9a-f]{36} Error: Runtime exited with error: exit status 7$"},
		},
		{
			behaviour: "hang", timeout: 50 * time.Millisecond, wantExit: "signal: killed",
			want: FunctionError{Type: TypeTimedOut, Message: `^RequestId: [-0-9a-f]{36} Error: Task timed out after 0\.05 seconds$`},
		},
		{
			behaviour: "too much", wantExit: "exit status 1", // the runtime client takes a 413 for fatal
			want: FunctionError{Type: TypeTooLarge, Message: "^Response payload size exceeded"},
		},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			t.Parallel()
			e := start(t, function(t, tc.behaviour))
			timeout := tc.timeout
			if timeout == 0 {
				timeout = long
			}
			result, err := e.Invoke(t.Context(), []byte(`{}`), timeout)
			if tc.wantErr != nil {
				var exit *ExitError
				if !errors.As(err, &exit) || exit.Exit.State.String() != tc.wantExit {
					t.Errorf("error %v, want an exit with %s", err, tc.wantExit)
				}
			} else if err != nil {
				t.Error(err)
			}
			if result.FunctionError == nil {
				t.Fatalf("no function error, payload %s", result.Payload)
			}
			if result.FunctionError.Type != tc.want.Type || !regexp.MustCompile(tc.want.Message).MatchString(result.FunctionError.Message) {
				t.Errorf("function error %v, want %v", result.FunctionError, tc.want)
			}
			if posted := result.Payload != nil; posted != tc.wantPosted {
				t.Errorf("payload %q", result.Payload)
			}
			if tc.wantExit == "" {
				if again := invoke(t, e, `{}`); again.FunctionError == nil {
					t.Error("the second invocation succeeded")
				}
				return
			}
			<-e.Exited()
			if _, err := e.Invoke(t.Context(), []byte(`{}`), long); !errors.Is(err, ErrEnded) {
				t.Errorf("the next invocation gives %v, want ErrEnded", err)
			}
			if exit, err := e.Close(); err != nil || exit.State.String() != tc.wantExit {
				t.Errorf("Close gives %v, %v; want %s", exit.State, err, tc.wantExit)
			}
		})
	}
}

func TestInvokeTimeout(t *testing.T) {
	t.Parallel()
	e := start(t, function(t, "echo"))
	for _, timeout := range []time.Duration{0, -time.Second} {
		if _, err := e.Invoke(t.Context(), nil, timeout); err == nil {
			t.Errorf("a timeout of %s is accepted", timeout)
		}
	}
	invoke(t, e, `{}`) // and has done no harm
}

func TestInvokeContext(t *testing.T) {
	t.Parallel()
	e := start(t, function(t, "hang"))
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := e.Invoke(ctx, []byte(`{}`), long)
		waiting <- err
	}()
	go func() {
		_, err := e.Invoke(ctx, []byte(`{}`), long)
		waiting <- err
	}()
	cancel(why)
	for range 2 {
		if err := <-waiting; !errors.Is(err, why) && !errors.Is(err, ErrEnded) {
			t.Errorf("Invoke gives %v, want %v", err, why)
		}
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		behaviour string
		timeout   time.Duration
		want      string
		wantOut   string
	}{
		{behaviour: "exit before the first request", want: "the process ended during init: exit status 3", wantOut: "no configuration\n"},
		{behaviour: "report a failed init", want: "Extension.ConfigInvalid: REMOTE_WRITE_URL is missing"},
		{behaviour: "no request", timeout: 50 * time.Millisecond, want: "Sandbox.Timedout: no request for an event within 50ms"},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			f := function(t, tc.behaviour)
			f.Output = &out
			if tc.timeout != 0 {
				f.InitTimeout = tc.timeout
			}
			_, err := Start(t.Context(), f)
			if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("Start gives %v, want %s", err, tc.want)
			}
			if !strings.HasPrefix(out.String(), tc.wantOut) {
				t.Errorf("output %q, want %q", &out, tc.wantOut)
			}
		})
	}
	t.Run("no such file", func(t *testing.T) {
		t.Parallel()
		_, err := Start(t.Context(), Function{Path: filepath.Join(t.TempDir(), "bootstrap")})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Start gives %v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := Start(ctx, function(t, "no request"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start gives %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]string{
		"echo":           "signal: terminated",
		"ignore SIGTERM": "signal: killed",
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			e := start(t, function(t, behaviour))
			for range 2 {
				exit, err := e.Close()
				if err != nil || exit.State.String() != want {
					t.Errorf("Close gives %v, %v; want %s", exit.State, err, want)
				}
			}
			if _, err := e.Invoke(t.Context(), nil, long); !errors.Is(err, ErrEnded) {
				t.Errorf("Invoke after Close gives %v", err)
			}
		})
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := function(t, "write")
	f.Output = &out
	e := start(t, f)
	if _, err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "to standard output\nto standard error\n"; out.String() != want {
		t.Errorf("output %q, want %q", &out, want)
	}
}

func TestPeakRSS(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere it is the kernel's own account")
	}
	// What the parent holds must not count: see memory.
	parent := bytes.Repeat([]byte("x"), 300<<20)
	for behaviour, want := range map[string]struct{ min, max int64 }{
		"echo":       {1 << 20, 150 << 20},
		"use 300 MB": {300 << 20, 1 << 40},
	} {
		e := start(t, function(t, behaviour))
		invoke(t, e, `{}`)
		exit, err := e.Close()
		if err != nil {
			t.Fatal(err)
		}
		if exit.PeakRSS < want.min || exit.PeakRSS > want.max {
			t.Errorf("%s: peak of %d bytes, want %d to %d", behaviour, exit.PeakRSS, want.min, want.max)
		}
	}
	runtime.KeepAlive(parent)
}
