package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// suiteSeeds is how many storms go test simulates, and raceSeeds with the race detector, which
// makes them ten times as slow; make simulate sets SIMULATE_SEEDS.
const suiteSeeds, raceSeeds = 40, 5

// TestSimulate makes storms from seeds (see docs/simulation.md). The variables are
// SIMULATE_SEEDS, how many; SIMULATE_FROM, the first seed; SIMULATE_TRACE, to print the
// schedule also of a seed that passes.
func TestSimulate(t *testing.T) {
	seeds := suiteSeeds
	if raced() {
		seeds = raceSeeds
	}
	seeds = fromEnviron(t, "SIMULATE_SEEDS", seeds)
	from := fromEnviron(t, "SIMULATE_FROM", 1)
	trace := os.Getenv("SIMULATE_TRACE") != ""
	progress := os.Getenv("SIMULATE_SEEDS") != "" && seeds > 1
	isolate(t)
	limits := queueLimitsOf(t)

	results := &results{}
	t.Run("seeds", func(t *testing.T) {
		for seed := from; seed < from+seeds; seed++ {
			t.Run(strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				state := filepath.Join(t.TempDir(), "state")
				var found []finding
				synctest.Test(t, func(t *testing.T) {
					s := simulate(uint64(seed), limits, state)
					found = s.findings
					if len(found) > 0 || trace {
						t.Logf("the schedule of seed %d:\n%s", seed, s.trace.String())
					}
					for _, f := range found {
						t.Log(f)
					}
					if len(found) > 0 {
						t.Errorf("replay: make simulate SEEDS=1 FROM=%d", seed)
					}
					results.add(seed, s)
				})
				if progress && results.done()%50 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d seeds\n", results.done(), seeds)
				}
			})
		}
	})
	results.report(t)
}

// raced reports whether the test was built with the race detector.
func raced() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// A seed gives the same schedule and findings each time, while there is one request at a
// time.
func TestSimulateAgain(t *testing.T) {
	isolate(t)
	limits := queueLimitsOf(t)
	for seed := uint64(1); seed <= 4; seed++ {
		var first, second string
		for _, trace := range []*string{&first, &second} {
			state := filepath.Join(t.TempDir(), "state")
			synctest.Test(t, func(*testing.T) {
				s := simulate(seed, limits, state)
				*trace = s.trace.String()
				if s.plan.settings.ecrConcurrency > 1 {
					t.Fatalf("seed %d makes several requests at a time: choose another", seed)
				}
			})
		}
		if diff := cmp.Diff(strings.Split(first, "\n"), strings.Split(second, "\n")); diff != "" {
			t.Errorf("seed %d (-first +second):\n%s", seed, diff)
		}
	}
}

// fromEnviron reads a number from the environment.
func fromEnviron(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

// isolate sets the variables from which the AWS configuration is loaded. No request leaves
// the process: the hosts name the simulated services.
func isolate(t *testing.T) {
	t.Helper()
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "http://" + hostAWS, "AWS_ENDPOINT_URL_S3": "http://" + hostS3,
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "planted-secret-key", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// results add up what the seeds found.
type results struct {
	mu    sync.Mutex
	seeds []seedResult
	// allowed counts the series that are not as they should be by a documented rule.
	allowed map[string]int
	totals  totals
}

// seedResult is what one seed found.
type seedResult struct {
	seed     int
	findings []finding
}

// totals say how much was simulated.
type totals struct{ invocations, kills, deaths, faults, messages, returned, deadLetters, expired, series int }

func (r *results) add(seed int, s *simulation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seeds = append(r.seeds, seedResult{seed, s.findings})
	if r.allowed == nil {
		r.allowed = map[string]int{}
	}
	for reason, n := range s.allowed {
		r.allowed[reason] += n
	}
	t, u := &r.totals, &s.totals
	t.invocations += u.invocations
	t.kills += u.kills
	t.deaths += u.deaths
	t.faults += u.faults
	t.messages += u.messages
	t.returned += u.returned
	t.deadLetters += u.deadLetters
	t.expired += u.expired
	t.series += len(s.tracks)
}

func (r *results) done() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seeds)
}

// report prints one line for each seed with findings, and the sums.
func (r *results) report(t *testing.T) {
	slices.SortFunc(r.seeds, func(a, b seedResult) int { return a.seed - b.seed })
	var out strings.Builder
	byRule := map[rule]int{}
	failed := 0
	for _, s := range r.seeds {
		var checks []string
		rules := map[rule]bool{}
		for _, f := range s.findings {
			rules[f.rule] = true
			if check := f.check + " (rule " + string(f.rule) + ")"; !slices.Contains(checks, check) {
				checks = append(checks, check)
			}
		}
		for rule := range rules {
			byRule[rule]++
		}
		if len(checks) > 0 {
			failed++
			fmt.Fprintf(&out, "seed %d: %s\n", s.seed, strings.Join(checks, ", "))
		}
	}
	fmt.Fprintf(&out, "%d seeds, %d failed; seeds by rule %v; allowed %v\n", len(r.seeds), failed, byRule, r.allowed)
	fmt.Fprintf(&out, "%+v", r.totals)
	if os.Getenv("SIMULATE_SEEDS") != "" {
		fmt.Fprintln(os.Stderr, out.String())
		return
	}
	t.Log(out.String())
}

// moment is a virtual time in the schedule that is printed, in whole seconds.
func moment(at, begin time.Time) string {
	d := at.Sub(begin)
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}
