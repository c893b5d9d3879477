//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// pastHour is the function in the hour before the start, run in virtual time by a process of
// its own: the tests of the function, one of which writes the requests that the function
// makes to its endpoint into the process's folder, and its state. The first look at a graph
// shows curves because of it.
type pastHour struct {
	process *localtest.Process // nil if there is no past
	pushes  int                // of the function and, at the same times, of the cluster
	bytes   int                // of the function's pushes, compressed
	took    time.Duration
}

// startHour starts the process. The path is that of the built tests; empty means no past.
func startHour(path string, end time.Time, environ []string) (*pastHour, error) {
	p := &pastHour{}
	if path == "" {
		return p, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p.process, err = localtest.StartProcess("the function in the past hour", nil, func(folder string) (*exec.Cmd, error) {
		cmd := exec.Command(path, "-test.run=^TestHour$") //nolint:noctx // StartProcess says how it ends
		cmd.Dir = folder
		cmd.Env = append(settings(environ), "TMPDIR="+folder, stateIn(folder),
			"HOUR_END="+end.Format(time.RFC3339Nano), "HOUR_FOLDER="+filepath.Join(folder, requests))
		return cmd, os.Mkdir(filepath.Join(folder, requests), 0o700)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// requests is the folder of the requests in that of the process.
const requests = "requests"

func stateIn(folder string) string { return "STATE_URL=file://" + filepath.Join(folder, "state") }

// settings are those of a function that goes on where the past hour ends, as from one
// invocation to the next: it has the same state.
func (p *pastHour) settings() []string {
	if p.process == nil {
		return nil
	}
	return []string{stateIn(p.process.Folder)}
}

// fill makes the changes of the hour in the world, and stores what the function and the
// cluster's kube-state-metrics sent meanwhile.
func (p *pastHour) fill(ctx context.Context, world *localtest.World, store *localtest.Store) error {
	if p.process != nil {
		if err := p.process.Wait(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	for n := range localtest.HourPushes {
		at, _, err := world.Step(n)
		if err != nil {
			return fmt.Errorf("change the registry as in the past hour: %w", err)
		}
		if p.process == nil {
			continue
		}
		if err := store.Import(ctx, world.Cluster, at); err != nil {
			return err
		}
		p.pushes++
	}
	if p.process == nil {
		return nil
	}
	folder := filepath.Join(p.process.Folder, requests)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read the pushes of the past hour: %w", err)
	}
	for _, entry := range entries { // sorted by name, and so by time
		body, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return fmt.Errorf("read a push of the past hour: %w", err)
		}
		if err := store.Write(ctx, body); err != nil {
			return err
		}
		p.bytes += len(body)
	}
	p.took = time.Since(begin)
	return store.Flush(ctx)
}

func (p *pastHour) stop() error {
	if p.process == nil {
		return nil
	}
	return p.process.Stop()
}
