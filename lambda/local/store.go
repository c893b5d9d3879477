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

// remoteWritePath is the remote-write endpoint of VictoriaMetrics.
const remoteWritePath = "/api/v1/write"

// Timeouts of VictoriaMetrics for starting, which takes a fifth of a second on an idle
// machine, for a query, and for stopping.
const (
	storeStart   = 30 * time.Second
	queryTimeout = 30 * time.Second
	storeStop    = 2 * time.Second
)

// store is a VictoriaMetrics process with its data in a temporary folder.
type store struct {
	url    string // without a slash at the end
	folder string
	client *http.Client

	cmd    *exec.Cmd
	out    *output
	exited chan struct{} // closed when the process has ended
	grace  time.Duration // for stopping
}

// startStore starts VictoriaMetrics on a port and waits until it serves, with a timeout. The
// queries become the dashboard of its UI.
func startStore(ctx context.Context, path string, queries []namedQuery, port int, timeout time.Duration) (*store, error) {
	folder, err := os.MkdirTemp("", "ecr-remote-write-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for VictoriaMetrics: %w", err)
	}
	dashboards := filepath.Join(folder, "dashboards")
	if err := writeDashboard(dashboards, queries); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	serving := make(chan string, 1)
	s := &store{
		folder: folder,
		client: &http.Client{Transport: &http.Transport{}, Timeout: queryTimeout},
		out:    &output{line: func(line []byte) { findAddress(line, serving) }},
		exited: make(chan struct{}),
		grace:  storeStop,
	}
	// Not CommandContext: stop stops the process after the function, which may push to it
	// until then.
	s.cmd = exec.Command(path, //nolint:gosec,noctx // the path is the caller's; as above
		// For 0 the system chooses a free port. The port is in the log.
		fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", port),
		"-loggerFormat=json",
		"-storageDataPath="+filepath.Join(folder, "data"),
		"-vmui.customDashboardsPath="+dashboards,
		// Make samples visible at once instead of after 30 s.
		"-search.latencyOffset=0s",
		// The default is more than half of the machine's memory.
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
		_ = s.cmd.Wait() // the result is in ProcessState
	}()
	if err := s.await(ctx, serving, timeout); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// await waits until VictoriaMetrics serves.
func (s *store) await(ctx context.Context, serving <-chan string, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case s.url = <-serving:
		return nil
	case <-s.exited:
		return fmt.Errorf("start VictoriaMetrics: %w", s.ended())
	case <-timer.C:
		return fmt.Errorf("start VictoriaMetrics: it does not serve after %s; it wrote:\n%s", timeout, s.out)
	case <-ctx.Done():
		return fmt.Errorf("start VictoriaMetrics: %w", context.Cause(ctx))
	}
}

// findAddress sends the address of VictoriaMetrics if a line of its log contains it.
func findAddress(line []byte, serving chan<- string) {
	var entry struct {
		Message string `json:"msg"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return // its logger is not set up for the first lines
	}
	url, ok := strings.CutPrefix(entry.Message, "started server at ")
	if !ok {
		return
	}
	select {
	case serving <- strings.TrimSuffix(url, "/"):
	default: // known already
	}
}

// ended is the error that the process has ended by itself. It may be called only after
// exited is closed.
func (s *store) ended() error {
	return fmt.Errorf("VictoriaMetrics ended: %s; it wrote:\n%s", s.cmd.ProcessState, s.out)
}

// stop stops the process, kills it after the grace period, and removes its folder.
func (s *store) stop() error {
	s.client.CloseIdleConnections()
	// The error is that the process has ended already.
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
