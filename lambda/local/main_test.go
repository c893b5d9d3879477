//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roles are the programs that the test binary acts as if it is started by one of these
// names. Environment and arguments cannot select one: the code under test sets both.
var roles = map[string]func(){
	"local": main,
	// Stores.
	"store-exits":  func() { fmt.Println("no space left on device"); os.Exit(3) },
	"store-silent": func() { fmt.Println(`{"msg":"opening storage"}`); wait() },
	"store-serves": func() { fmt.Println(`{"level":"info","msg":"started server at http://127.0.0.1:1/"}`); wait() },
	// The tests of the function.
	"hour-fails": func() { fmt.Println("FAIL: an hour has 60 minutes"); os.Exit(1) },
	"hour-hangs": wait,
	// Functions.
	"function-hangs": func() { fmt.Println("waiting for a reason"); next(); wait() },
	"function-fails": func() {
		id := next()
		fmt.Println(`{"level":"ERROR","msg":"no such luck"}`)
		post(id+"/error", `{"errorType":"errorString","errorMessage":"lost 3 of 5 series"}`)
		next()
	},
}

func TestMain(m *testing.M) {
	role := roles[filepath.Base(os.Args[0])]
	if role == nil {
		goleak.VerifyTestMain(m)
		return
	}
	// Written first, so that it exists once the program works, and renamed, so that it is
	// always complete.
	pid := os.Args[0] + ".pid"
	if err := os.WriteFile(pid+".tmp", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(pid+".tmp", pid); err != nil {
		panic(err)
	}
	role()
}

// wait waits for a signal that ends the process, for a minute at most.
func wait() { time.Sleep(time.Minute) }

func runtimeAPI() string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
}

// next requests an event and returns its request id.
func next() string {
	response, err := http.Get(runtimeAPI() + "next")
	if err != nil {
		os.Exit(0)
	}
	defer response.Body.Close()
	return response.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func post(path, body string) {
	response, err := http.Post(runtimeAPI()+path, "application/json", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	response.Body.Close()
}

// act returns the path of the test binary under the name of a role.
func act(t *testing.T, role string) string {
	t.Helper()
	if roles[role] == nil {
		t.Fatalf("no role %q", role)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), role)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// processOf returns the process, running or ended, of a role.
func processOf(t *testing.T, path string) *os.Process {
	t.Helper()
	text, err := os.ReadFile(path + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return process
}

// checkGone checks that the process of a role has ended.
func checkGone(t *testing.T, path string) {
	t.Helper()
	if processOf(t, path).Signal(syscall.Signal(0)) == nil {
		t.Errorf("%s still runs", filepath.Base(path))
	}
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

// program is a running local.
type program struct {
	cmd             *exec.Cmd
	store, function string
	temp            string
	lines           *bufio.Scanner
	stderr          strings.Builder
}

// start starts the program with the roles of a store and a function.
func start(t *testing.T, store, function string, args ...string) *program {
	t.Helper()
	p := &program{store: act(t, store), function: act(t, function), temp: t.TempDir()}
	p.cmd = exec.Command(act(t, "local"), append([]string{
		"-victoriametrics", p.store, "-bootstrap", p.function, "-event", filepath.Join("..", "..", "events", "schedule-rule.json"), "-dashboards", filepath.Join("..", "..", "mixin", "vmui"),
	}, args...)...)
	p.cmd.Env = append(os.Environ(), "TMPDIR="+p.temp)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// awaitStarted waits until everything runs or the program has ended.
func (p *program) awaitStarted(t *testing.T) {
	t.Helper()
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), "the function") {
			return
		}
	}
	err := p.cmd.Wait()
	t.Fatalf("it did not start: %v\n%s", err, p.stderr.String())
}

// end waits for the end of the program. It returns the exit code and the last line.
func (p *program) end(t *testing.T) (code int, last string) {
	t.Helper()
	for p.lines.Scan() {
		last = p.lines.Text()
	}
	_ = p.cmd.Wait()
	checkEmpty(t, p.temp)
	checkGone(t, p.store)
	return p.cmd.ProcessState.ExitCode(), last
}

func TestProgramStopsWhenTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		signal   syscall.Signal
		args     []string
		code     int
		last     string
		complain string
	}{
		{name: "Ctrl-C", signal: syscall.SIGINT, last: "Stopped. No process and no file is left."},
		{name: "terminated", signal: syscall.SIGTERM, last: "Stopped. No process and no file is left."},
		{name: "terminal closed", signal: syscall.SIGHUP, last: "Stopped. No process and no file is left."},
		{name: "nobody reads", signal: syscall.SIGPIPE, last: "Stopped. No process and no file is left."},
		{name: "before everything was checked", signal: syscall.SIGINT, args: []string{"-once"}, code: 1, complain: "failed: stopped before everything was checked\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "store-serves", "function-hangs", test.args...)
			p.awaitStarted(t)
			if err := p.cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			code, last := p.end(t)
			checkGone(t, p.function)
			if code != test.code || !strings.Contains(last, test.last) {
				t.Errorf("exit code %d and last line %q, want %d and %q", code, last, test.code, test.last)
			}
			if got := strings.TrimLeft(p.stderr.String(), "\n"); got != test.complain {
				t.Errorf("standard error: %q, want %q", got, test.complain)
			}
		})
	}
}

// interrupt sends a signal once programs of the test have started, and checks the end.
func (p *program) interrupt(t *testing.T, started ...string) {
	t.Helper()
	for _, path := range started {
		for _, err := os.Stat(path + ".pid"); err != nil; _, err = os.Stat(path + ".pid") {
			time.Sleep(time.Millisecond)
		}
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, last := p.end(t); code != 0 || last != "Stopped. No process and no file is left." {
		t.Errorf("exit code %d and last line %q\n%s", code, last, p.stderr.String())
	}
}

// A signal also ends the wait for a store that starts slowly.
func TestProgramStopsWhileStarting(t *testing.T) {
	t.Parallel()
	p := start(t, "store-silent", "function-hangs")
	p.interrupt(t, p.store)
}

// A signal also ends the wait for the past hour.
func TestProgramStopsInThePast(t *testing.T) {
	t.Parallel()
	hour := act(t, "hour-hangs")
	p := start(t, "store-serves", "function-hangs", "-hour", hour)
	p.interrupt(t, hour, p.function)
	checkGone(t, hour)
	checkGone(t, p.function)
}

func TestProgramFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, store, function string
		hour                  string
		do                    func(*testing.T, *program)
		complain              []string
	}{
		{
			name: "the store does not start", store: "store-exits", function: "function-hangs",
			complain: []string{"start VictoriaMetrics", "exit status 3", "no space left on device"},
		},
		{
			name: "the store ends during a push", store: "store-serves", function: "function-hangs",
			do: func(t *testing.T, p *program) {
				p.awaitStarted(t)
				if err := processOf(t, p.store).Kill(); err != nil {
					t.Error(err)
				}
			},
			complain: []string{"VictoriaMetrics ended: signal: killed", "started server at"},
		},
		{
			name: "the past hour fails", store: "store-serves", function: "function-hangs", hour: "hour-fails",
			complain: []string{"the function in the past hour ended: exit status 1", "FAIL: an hour has 60 minutes"},
		},
		{
			name: "the function fails", store: "store-serves", function: "function-fails",
			complain: []string{"errorString: lost 3 of 5 series", `"msg":"no such luck"`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			if test.hour != "" {
				args = []string{"-hour", act(t, test.hour)}
			}
			p := start(t, test.store, test.function, args...)
			if test.do != nil {
				test.do(t, p)
			}
			if code, _ := p.end(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, want := range test.complain {
				if got := p.stderr.String(); !strings.Contains(got, want) {
					t.Errorf("standard error lacks %q:\n%s", want, got)
				}
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want string
	}{
		{nil, "-bootstrap and -victoriametrics are needed"},
		{[]string{"-bootstrap", "x"}, "-bootstrap and -victoriametrics are needed"},
		{[]string{"-bootstrap", "x", "-victoriametrics", "y", "z"}, `unexpected argument "z"`},
		{[]string{"-bootstrap", "x", "-victoriametrics", "y", "-every", "0s"}, "-every has to be more than 0"},
		{[]string{"-twice"}, "flag provided but not defined: -twice"},
	}
	for _, test := range tests {
		var stderr strings.Builder
		if err := run(t.Context(), test.args, nil, io.Discard, &stderr); err != errUsage { //nolint:errorlint // returned as it is
			t.Errorf("%q: %v, want %v", test.args, err, errUsage)
		}
		if !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: standard error lacks %q:\n%s", test.args, test.want, stderr.String())
		}
	}
}

func TestNoEvent(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "event.json")
	err := run(t.Context(), []string{"-bootstrap", "x", "-victoriametrics", "y", "-event", missing}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("%v, want an error that names %s", err, missing)
	}
}
