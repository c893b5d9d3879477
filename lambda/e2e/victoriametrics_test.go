package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
)

// victoriaMetrics is a running VictoriaMetrics.
type victoriaMetrics struct {
	url string
}

// buildVictoriaMetrics builds VictoriaMetrics with the Makefile, which takes a minute the
// first time.
var buildVictoriaMetrics = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", fmt.Errorf("find the Makefile: %w", err)
	}
	const path = ".build/victoria-metrics"
	cmd := exec.Command("make", "--no-print-directory", path)
	cmd.Dir = root
	// The settings of a make that runs these tests must not reach this one.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	})
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build VictoriaMetrics: %w\n%s", err, out)
	}
	return filepath.Join(root, path), nil
})

// serving matches the address that VictoriaMetrics logs.
var serving = regexp.MustCompile(`started server at (http://127\.0\.0\.1:\d+)`)

// startVictoriaMetrics starts VictoriaMetrics on a free port until the test ends.
func startVictoriaMetrics(t *testing.T) *victoriaMetrics {
	t.Helper()
	if testing.Short() {
		t.Skip("building VictoriaMetrics takes a minute")
	}
	path, err := buildVictoriaMetrics()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path,
		"-httpListenAddr=127.0.0.1:0",
		"-storageDataPath="+t.TempDir(),
		"-search.latencyOffset=0s",
		"-memory.allowedBytes=256MiB",
	)
	cmd.Env = []string{}
	return &victoriaMetrics{url: startServer(t, cmd, serving)}
}

// series returns the series that have a sample with exactly that time.
func (v *victoriaMetrics) series(t *testing.T, at time.Time) tsdbtest.Vector {
	t.Helper()
	v.get(t, "/internal/force_flush", nil)
	// The range includes its ends.
	ms := fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000)
	exported := v.get(t, "/api/v1/export", url.Values{"match[]": {`{__name__!=""}`}, "start": {ms}, "end": {ms}})
	all := tsdbtest.Vector{}
	for line := range bytes.Lines(exported) {
		var series struct {
			Metric map[string]string
			Values []float64
		}
		if err := json.Unmarshal(line, &series); err != nil {
			t.Fatalf("read the export of VictoriaMetrics: %v: %s", err, line)
		}
		var pairs []string
		for name, value := range series.Metric {
			if name != "__name__" {
				pairs = append(pairs, name, value)
			}
		}
		if len(series.Values) != 1 {
			t.Errorf("%v has the values %v at one time", series.Metric, series.Values)
		}
		all[tsdbtest.KeyOf(series.Metric["__name__"], pairs...)] = series.Values[0]
	}
	return all
}

func (v *victoriaMetrics) get(t *testing.T, path string, query url.Values) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.url+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s: %s, %v: %s", path, response.Status, err, text)
	}
	return text
}
