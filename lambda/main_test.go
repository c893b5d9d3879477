package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The AWS SDK and the sender keep connections for the next run.
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		args, environ  []string
		code           int
		stdout, stderr string
	}{
		{"no flag", nil, nil, 2, "", "ecr-remote-write: nothing to do: want -once, -dry-run, -event, -dump, -cost or -targets; see -help\n"},
		{"version", []string{"-version"}, nil, 0, "ecr-remote-write ", ""},
		{"unknown flag", []string{"-onec"}, nil, 2, "", "ecr-remote-write: flag provided but not defined: -onec; see -help\n"},
		{"argument", []string{"-once", "now"}, nil, 2, "", `unexpected argument "now"`},
		{"both", []string{"-once", "-dry-run"}, nil, 2, "", "use only one of them"},
		{"event that is not sent", []string{"-dry-run", "-event", "-"}, nil, 2, "", "use it without -event"},
		{"cost and run", []string{"-cost", "-once"}, nil, 2, "", "-cost prints nothing else"},
		{"images without cost", []string{"-dry-run", "-images", "3"}, nil, 2, "", "are for -cost"},
		{"prices of a run", []string{"-once", "-prices", "x"}, nil, 2, "", "-prices is for -cost and -dry-run"},
		{"too many in use", []string{"-cost", "-images", "3", "-in-use", "4"}, nil, 2, "", "-in-use at most -images"},
		{"in use of this registry", []string{"-cost", "-in-use", "4"}, nil, 2, "", "-in-use at most -images"},
		{"negative images", []string{"-cost", "-images", "-2"}, nil, 2, "", "-images is at most"},
		{"no prices", []string{"-cost", "-images", "1", "-prices", "no/such/file"}, nil, 1, "", "reading the prices"},
		{"bad configuration of cost", []string{"-cost", "-images", "1"}, []string{"SCHEDULE=x"}, 2, "", "SCHEDULE"},
		{"no images", []string{"-cost", "-images", "0"}, nil, 0, "A typical registry of 0 tagged images", ""},
		{"bad configuration", []string{"-once"}, []string{"ECR_CONCURRENCY=0", "REMOTE_WRITE_UR=x"}, 2, "", `ecr-remote-write: the configuration has 3 faults:
  ECR_CONCURRENCY="0": want a whole number from 1 to 256
  REMOTE_WRITE_UR: not a setting, and ignored; did you mean REMOTE_WRITE_URL?
  REMOTE_WRITE_URL: required: an absolute http or https URL
`},
		{"event that is not there", []string{"-event", "no/such/file"}, []string{"REMOTE_WRITE_URL=http://127.0.0.1:1"}, 1, "", "reading the event"},
		{"unknown event", []string{"-event", "main_test.go"}, []string{"REMOTE_WRITE_URL=http://127.0.0.1:1"}, 1, "", "the event is not a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(c.args, c.environ, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout.String(), c.stdout) || (c.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("standard output\n%s\nwant %q", &stdout, c.stdout)
			}
			if !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("standard error\n%s\nwant %q", &stderr, c.stderr)
			}
		})
	}
}

// Help is on standard output: a usage line, examples, and a sentence for each setting.
func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-help"}, nil, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, standard error\n%s", code, &stderr)
	}
	rest := stdout.String()
	for _, want := range []string{
		"Usage: ecr-remote-write -once | -dry-run | -event FILE | -dump [-state URL] | -cost [-images NUMBER] | -targets\n",
		"\n  -event FILE\n",
		"\nExamples:\n\n  AWS_REGION=eu-west-1 ecr-remote-write -dry-run > series.txt\n",
		" ecr-remote-write -once\n",
		"\n  REMOTE_WRITE_URL (required to push)\n        The remote-write URL of ",
		"\n  LOG_LEVEL (default AWS_LAMBDA_LOG_LEVEL, else INFO)\n        The log level: DEBUG, INFO, WARN or ERROR.\n",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing in\n%s", want, rest)
		}
		rest = after
	}
}

func TestOnce(t *testing.T) {
	for _, args := range [][]string{{"-once"}, {"-event", "../events/schedule-rule.json"}} {
		s := surround(t)
		var stdout, stderr bytes.Buffer
		if code := run(args, s.environ(), &stdout, &stderr); code != 0 {
			t.Fatalf("%v: exit code %d\n%s", args, code, &stderr)
		}
		var summary exporter.Summary
		if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil {
			t.Fatalf("%v: standard output\n%s\n%v", args, &stdout, err)
		}
		if n := len(s.arrived()); n == 0 || summary.Accepted != n {
			t.Errorf("%v: Summary %+v", args, summary)
		}
	}
}

func TestOnceFails(t *testing.T) {
	s := surround(t)
	s.server.RequireAccessKey("another")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-once"}, s.environ(), &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "listing repositories") {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
}

// The dry run needs no endpoint, and its standard output has only the series.
func TestDryRun(t *testing.T) {
	surround(t)
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-dry-run"}, []string{"SCAN_SOURCE=none", "SCHEDULE=rate(5 minutes)"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	series := strings.Count(stdout.String(), "\naws_ecr_")
	if !strings.HasPrefix(stdout.String(), "# HELP aws_ecr_repository_count ") || series < 4 {
		t.Errorf("standard output\n%s", &stdout)
	}
	if want := fmt.Sprintf("Printed %d series of ", series); !strings.HasPrefix(stderr.String(), want) || strings.ContainsAny(stderr.String(), "{}") {
		t.Errorf("standard error\n%s\nwant %q", &stderr, want)
	}
}

// The next run uses the state of the previous one.
func TestOnceWithFile(t *testing.T) {
	s := surround(t)
	path := filepath.Join(t.TempDir(), "state")
	for i, calls := range []int{2, 0} {
		s.server.ResetObserved()
		var stdout, stderr bytes.Buffer
		if code := run([]string{"-once"}, s.environ("STATE_URL=file://"+path), &stdout, &stderr); code != 0 {
			t.Fatalf("exit code %d\n%s", code, &stderr)
		}
		if got := len(s.server.Requests()); got != calls {
			t.Errorf("run %d: %d calls, want %d", i, got, calls)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size, limit string
		want        int64
	}{
		{"256", "", 256 << 20 / 10 * 8},
		{"10240", "", 10240 << 20 / 10 * 8},
		{"256", "1GiB", 0},
		{"", "", 0},
		{"much", "", 0},
	} {
		got := memoryLimit(func(name string) string {
			return map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": c.size, "GOMEMLIMIT": c.limit}[name]
		})
		if got != c.want {
			t.Errorf("%+v: limit %d", c, got)
		}
	}
}

// Control characters in an error are escaped when it is printed.
func TestPrintable(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("\x1b]0;owned\a one"), errors.New("two\r"))
	if got, want := printable(err), `\x1b]0;owned\a one`+"\n"+`two\r`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
