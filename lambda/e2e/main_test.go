// Package e2e holds the end-to-end tests. They run the built bootstrap under the
// Lambda Runtime API against a simulated registry, and check what a real Prometheus
// has afterwards. They are a module of their own because Prometheus is a large
// dependency that the function itself must not have.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// buildDir is where buildOnce puts the bootstrap.
var buildDir string

// waiting is how many tests run in parallel for each processor: most of them wait for
// deadlines and intervals.
const waiting = 3

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "ecr-remote-write-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the bootstrap:", err)
		os.Exit(1)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(waiting*runtime.GOMAXPROCS(0))); err != nil {
		fmt.Fprintln(os.Stderr, "set the number of parallel tests:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// buildOnce builds the function as it is deployed: without cgo, and without the
// RPC mode that only the retired go1.x runtime used. It is built in the function's
// module, because this one resolves other versions of dependencies.
var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", path, "./lambda")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bootstrap: %w\n%s", err, out)
	}
	return path, nil
})

// bootstrap returns the path of the built function.
func bootstrap(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// start is the time of the first push in tests with hand-written series. It is in the
// past because Prometheus rejects samples that are in the future.
var start = time.Date(2025, time.June, 2, 9, 0, 0, 0, time.UTC)
