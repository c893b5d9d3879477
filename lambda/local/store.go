//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// remoteWritePath is where VictoriaMetrics takes remote write.
const remoteWritePath = "/api/v1/write"

// How long VictoriaMetrics has to start, which takes it a fifth of a second on an
// idle machine, to answer, and to stop.
const (
	storeStart   = 30 * time.Second
	queryTimeout = 30 * time.Second
	storeStop    = 2 * time.Second
)

// store is VictoriaMetrics as a process of ours, with its data in a temporary folder.
type store struct {
	url    string // without a slash at its end
	folder string
	client *http.Client

	cmd    *exec.Cmd
	out    *output
	exited chan struct{} // closed when the process has ended
	grace  time.Duration // that it has to stop
}

// startStore starts VictoriaMetrics and waits until it serves, which may take so long
// at most. The questions become the dashboard of its UI.
func startStore(ctx context.Context, path string, questions []question, atMost time.Duration) (*store, error) {
	folder, err := os.MkdirTemp("", "ecr-remote-write-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for VictoriaMetrics: %w", err)
	}
	dashboards := filepath.Join(folder, "dashboards")
	if err := writeDashboard(dashboards, questions); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	serving := make(chan string, 1)
	s := &store{
		folder: folder,
		client: &http.Client{Transport: &http.Transport{}, Timeout: queryTimeout},
		out:    &output{line: func(line []byte) { noteServing(line, serving) }},
		exited: make(chan struct{}),
		grace:  storeStop,
	}
	// Not CommandContext: the process is stopped by stop, after the function, which
	// may be pushing to it until then.
	s.cmd = exec.Command(path, //nolint:gosec,noctx // the path is the caller's; as above
		// The system chooses a free port, and the log tells which.
		"-httpListenAddr=127.0.0.1:0",
		"-loggerFormat=json",
		"-storageDataPath="+filepath.Join(folder, "data"),
		"-vmui.customDashboardsPath="+dashboards,
		// Samples are to be seen at once, and not after 30 s.
		"-search.latencyOffset=0s",
		// It would take more than half of the machine's memory for its caches.
		"-memory.allowedBytes=256MiB",
	)
	s.cmd.Env = []string{}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.WaitDelay = storeStop
	// Ctrl-C at a terminal signals the whole process group; see above.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start VictoriaMetrics: %w", err), os.RemoveAll(folder))
	}
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // what there is to know is in ProcessState
	}()
	if err := s.await(ctx, serving, atMost); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// await waits until VictoriaMetrics serves.
func (s *store) await(ctx context.Context, serving <-chan string, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case s.url = <-serving:
		return nil
	case <-s.exited:
		return fmt.Errorf("start VictoriaMetrics: %w", s.ended())
	case <-timer.C:
		return fmt.Errorf("start VictoriaMetrics: it does not serve after %s; it wrote:\n%s", atMost, s.out)
	case <-ctx.Done():
		return fmt.Errorf("start VictoriaMetrics: %w", context.Cause(ctx))
	}
}

// noteServing finds in a line of the log where VictoriaMetrics serves.
func noteServing(line []byte, serving chan<- string) {
	var entry struct {
		Message string `json:"msg"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return // the first lines are written before its logger is set up
	}
	url, ok := strings.CutPrefix(entry.Message, "started server at ")
	if !ok {
		return
	}
	select {
	case serving <- strings.TrimSuffix(url, "/"):
	default: // told already
	}
}

// ended is the error that the process has ended by itself. It may be asked for only
// once exited is closed.
func (s *store) ended() error {
	return fmt.Errorf("VictoriaMetrics ended: %s; it wrote:\n%s", s.cmd.ProcessState, s.out)
}

// stop stops the process, hard if it takes too long, and removes its folder.
func (s *store) stop() error {
	s.client.CloseIdleConnections()
	// A process that has ended cannot be signalled, and need not be.
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case <-s.exited:
	case <-timer.C:
		_ = s.cmd.Process.Kill() // as above
		<-s.exited
	}
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("remove the folder of VictoriaMetrics: %w", err)
	}
	return nil
}
