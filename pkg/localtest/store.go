//go:build unix

package localtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// RemoteWritePath is the remote-write endpoint of VictoriaMetrics.
const RemoteWritePath = "/api/v1/write"

// StoreStart is a timeout for starting VictoriaMetrics, which takes a fifth of a second on
// an idle machine.
const StoreStart = 30 * time.Second

// queryTimeout is the timeout of a query.
const queryTimeout = 30 * time.Second

// Store is a VictoriaMetrics process with its data in a temporary folder.
type Store struct {
	*Process
	URL    string // without a slash at the end
	client *http.Client
}

// StartStore starts VictoriaMetrics on a port and waits until it serves, with a timeout. The
// dashboards of its UI are in a folder, empty for none.
func StartStore(ctx context.Context, path string, port int, dashboards string, timeout time.Duration) (*Store, error) {
	serving := make(chan struct{})
	s := &Store{client: &http.Client{Transport: &http.Transport{}, Timeout: queryTimeout}}
	line := func(line []byte) {
		if url := findAddress(line); url != "" && s.URL == "" {
			s.URL = url
			close(serving)
		}
	}
	var err error
	s.Process, err = StartProcess("VictoriaMetrics", line, func(folder string) (*exec.Cmd, error) {
		// Not CommandContext: Stop stops the process after the function, which may push to it
		// until then.
		cmd := exec.Command(path,
			// For 0 the system chooses a free port. The port is in the log.
			fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", port),
			"-loggerFormat=json",
			"-storageDataPath="+filepath.Join(folder, "data"),
			// Make samples visible at once instead of after 30 s.
			"-search.latencyOffset=0s",
			// The lookback of Prometheus. By default it follows from the samples of each series, and
			// one that has only begun soon seems to have ended.
			"-search.minStalenessInterval=5m",
			// The default is more than half of the machine's memory.
			"-memory.allowedBytes=256MiB",
		)
		cmd.Env = []string{}
		if dashboards != "" {
			cmd.Args = append(cmd.Args, "-vmui.customDashboardsPath="+dashboards)
		}
		return cmd, nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.Await(ctx, serving, timeout); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Write sends a request of the remote-write protocol 1.0, whose body is compressed with
// snappy.
func (s *Store) Write(ctx context.Context, body []byte) error {
	if _, err := s.do(ctx, http.MethodPost, RemoteWritePath, bytes.NewReader(body)); err != nil {
		return fmt.Errorf("write to VictoriaMetrics: %w", err)
	}
	return nil
}

// Dashboards returns the titles of the dashboards that the UI shows.
//
// See https://docs.victoriametrics.com/victoriametrics/single-server-victoriametrics/#vmui
func (s *Store) Dashboards(ctx context.Context) ([]string, error) {
	body, err := s.get(ctx, "/vmui/custom-dashboards")
	if err != nil {
		return nil, fmt.Errorf("get the dashboards of VictoriaMetrics: %w", err)
	}
	var served struct {
		DashboardsSettings []struct{ Title string }
	}
	if err := json.Unmarshal(body, &served); err != nil {
		return nil, fmt.Errorf("decode the dashboards of VictoriaMetrics: %w", err)
	}
	var titles []string
	for _, d := range served.DashboardsSettings {
		titles = append(titles, d.Title)
	}
	return titles, nil
}

// findAddress returns the address of VictoriaMetrics if a line of its log contains it.
func findAddress(line []byte) string {
	var entry struct {
		Message string `json:"msg"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return "" // its logger is not set up for the first lines
	}
	url, ok := strings.CutPrefix(entry.Message, "started server at ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(url, "/")
}

// Stop stops VictoriaMetrics and removes its folder.
func (s *Store) Stop() error {
	s.client.CloseIdleConnections()
	return s.Process.Stop()
}
