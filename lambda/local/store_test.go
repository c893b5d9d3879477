//go:build unix

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestStartStore is not parallel: it changes the folder of temporary files.
func TestStartStore(t *testing.T) {
	stopped := errors.New("stopped")
	tests := []struct {
		name, role string
		timeout    time.Duration
		context    func(context.Context) context.Context
		want       []string
	}{
		{name: "ends", role: "store-exits", timeout: time.Minute, want: []string{"exit status 3", "no space left on device"}},
		{name: "never serves", role: "store-silent", timeout: time.Millisecond, want: []string{"it does not serve after 1ms"}},
		{
			name: "stopped", role: "store-silent", timeout: time.Minute,
			context: func(ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(stopped)
				return ctx
			},
			want: []string{stopped.Error()},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			ctx := t.Context()
			if test.context != nil {
				ctx = test.context(ctx)
			}
			s, err := startStore(ctx, act(t, test.role), nil, 0, test.timeout)
			if err == nil {
				t.Fatalf("it started: %v", errors.Join(s.stop()))
			}
			for _, want := range append(test.want, "start VictoriaMetrics") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			checkEmpty(t, temp)
		})
	}
	t.Run("no such program", func(t *testing.T) {
		temp := t.TempDir()
		t.Setenv("TMPDIR", temp)
		if _, err := startStore(t.Context(), "/no/such/program", nil, 0, time.Minute); err == nil {
			t.Error("no error")
		}
		checkEmpty(t, temp)
	})
}

// A store that ignores SIGTERM is killed.
func TestStopStubbornStore(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	path := act(t, "store-stubborn")
	s, err := startStore(t.Context(), path, nil, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.grace = time.Millisecond
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := s.cmd.ProcessState.String(); got != "signal: killed" {
		t.Errorf("it ended with %q, want %q", got, "signal: killed")
	}
	checkEmpty(t, temp)
	checkGone(t, path)
}

func TestFindAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line, want string
	}{
		{`{"ts":"2026-11-22T20:05:32.385Z","level":"info","caller":"lib/httpserver/httpserver.go:145","msg":"started server at http://127.0.0.1:40309/"}`, "http://127.0.0.1:40309"},
		{`{"level":"info","msg":"starting VictoriaMetrics at \"[127.0.0.1:0]\"..."}`, ""},
		{`2026/11/22 20:05:32 ERROR: metrics: disable exposing PSI metrics`, ""},
		{``, ""},
	}
	for _, test := range tests {
		serving := make(chan string, 1)
		findAddress([]byte(test.line), serving)
		got := ""
		if len(serving) > 0 {
			got = <-serving
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}
