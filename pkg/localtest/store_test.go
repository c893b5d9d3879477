//go:build unix

package localtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Shell commands that act as stores.
const (
	silent = `echo '{"msg":"opening storage"}'; exec sleep 60`
	serves = `echo '{"level":"info","msg":"started server at http://127.0.0.1:1/"}'`
)

// script returns the path of a program that runs a shell command.
func script(t *testing.T, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+command+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkEmpty checks that a folder for temporary files is empty.
func checkEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("%s is left", entry.Name())
	}
}

// TestStartStore is not parallel: it changes the folder of temporary files.
func TestStartStore(t *testing.T) {
	stopped := errors.New("stopped")
	tests := []struct {
		name, script string
		timeout      time.Duration
		context      func(context.Context) context.Context
		want         []string
	}{
		{name: "ends", script: "echo no space left on device; exit 3", timeout: time.Minute, want: []string{"exit status 3", "no space left on device"}},
		{name: "never serves", script: silent, timeout: time.Millisecond, want: []string{"it does not serve after 1ms"}},
		{
			name: "stopped", script: silent, timeout: time.Minute,
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
			s, err := StartStore(ctx, script(t, test.script), 0, "", test.timeout)
			if err == nil {
				t.Fatalf("it started: %v", errors.Join(s.Stop()))
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
		if _, err := StartStore(t.Context(), "/no/such/program", 0, "", time.Minute); err == nil {
			t.Error("no error")
		}
		checkEmpty(t, temp)
	})
}

// A store that ignores SIGTERM is killed.
func TestStopStubbornStore(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s, err := StartStore(t.Context(), script(t, "trap '' TERM; "+serves+"; exec sleep 60"), 0, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.grace = time.Millisecond
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := s.cmd.ProcessState.String(); got != "signal: killed" {
		t.Errorf("it ended with %q, want %q", got, "signal: killed")
	}
	checkEmpty(t, temp)
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
		if got := findAddress([]byte(test.line)); got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}
