package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// suiteStorms is how many storms go test makes; make storms sets the variables.
const (
	suiteStorms    = 4
	stormsVariable = "E2E_STORMS"      // how many
	stormsFrom     = "E2E_STORMS_FROM" // the first seed
)

// TestStorms makes storms from seeds: a registry that changes, events, faults of ECR and of
// the receiver, environments that start cold, and kill -9. After two clean runs the receiver
// has what the registry has. A seed decides what is done; what the program is doing when it
// is killed also depends on the machine. See docs/simulation.md.
func TestStorms(t *testing.T) {
	t.Parallel()
	number := func(variable string, otherwise int) int {
		text := os.Getenv(variable)
		if text == "" {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		return n
	}
	from, storms := number(stormsFrom, 1), number(stormsVariable, suiteStorms)
	s3 := &moto{url: startMoto(t)}
	var sums stormSums
	t.Run("seeds", func(t *testing.T) {
		for seed := from; seed < from+storms; seed++ {
			t.Run(strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				s := newStorm(t, uint64(seed), s3)
				for range stormSteps {
					s.step()
				}
				s.calm()
				if t.Failed() {
					t.Logf("the schedule of seed %d:\n%s\nreplay: make storms COUNT=1 FROM=%[1]d", seed, s.schedule.String())
				}
				sums.add(s.counts)
			})
		}
	})
	text := fmt.Sprintf("%+v", sums.counts)
	if os.Getenv(stormsVariable) != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	if c := sums.counts; storms >= suiteStorms && (c.Kills == 0 || c.Faults == 0 || c.Ended == 0) {
		t.Errorf("%s: the test tests nothing", text)
	}
}

// stormCounts say how much happened.
type stormCounts struct{ Storms, Invocations, Kills, ColdStarts, Faults, Events, Returned, Series, Ended int }

type stormSums struct {
	mu     sync.Mutex
	counts stormCounts
}

func (s *stormSums) add(o stormCounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counts
	c.Storms++
	c.Invocations += o.Invocations
	c.Kills += o.Kills
	c.ColdStarts += o.ColdStarts
	c.Faults += o.Faults
	c.Events += o.Events
	c.Returned += o.Returned
	c.Series += o.Series
	c.Ended += o.Ended
}

func newStorm(t *testing.T, seed uint64, s3 *moto) *storm {
	t.Helper()
	s := &storm{T: t, rng: rand.New(rand.NewPCG(seed, 60)), registry: ecrtest.NewRegistry(account, region)}
	s.idle = sync.NewCond(&s.mu)
	s.receiver = remotewritetest.New(remotewritetest.Options{})
	s.aws = ecrtest.Start(t, s.registry)
	s.env = []string{
		fastScans, "LOG_LEVEL=INFO", "REFRESH_BUDGET=2s", "REMOTE_WRITE_TIMEOUT=1s",
		"AWS_ENDPOINT_URL=" + s.serve(ofECR, s.aws),
		"CACHE_REFRESH_INTERVAL=" + pick(s.rng, "1s", "1h", "1h"), "STATE_SAVE_INTERVAL=" + pick(s.rng, "0", "5m"),
		"REMOTE_WRITE_PROTOCOL=" + pick(s.rng, "auto", "1.0", "2.0"), "REMOTE_WRITE_MAX_SERIES=" + pick(s.rng, "20", "50", "5000"),
		"REMOTE_WRITE_CONCURRENCY=" + pick(s.rng, "1", "4"), "ECR_CONCURRENCY=" + pick(s.rng, "1", "8"),
	}
	s.endpoint = s.serve(ofReceiver, s.receiver) + "/api/v1/write"
	if s.rng.IntN(4) == 0 {
		s.env = append(s.env, "STATE_URL=file://"+filepath.Join(t.TempDir(), "state"))
	} else {
		bucket := fmt.Sprintf("storm-%d-%d", seed, time.Now().UnixNano())
		state := s3.bucket(t, bucket)
		state.watch(s.requestBegins, s.requestEnds)
		s.env = append(s.env, "AWS_ENDPOINT_URL_S3="+state.url, "STATE_URL=s3://"+bucket+"/state")
	}
	s.logf("settings %v", s.env)
	for range 2 {
		s.change()
	}
	return s
}

func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// calm ends the faults, makes clean runs in a new environment, and holds the receiver against
// the registry.
func (s *storm) calm() {
	s.logf("no more faults")
	s.stop()
	// Everything is due in each run.
	const interval = time.Second
	s.env = append(s.env, "CACHE_REFRESH_INTERVAL="+interval.String())
	s.cleanRun()
	for n := 0; len(s.queue) > 0; n++ {
		if n == 20 {
			s.Fatalf("%d messages are left", len(s.queue))
		}
		s.deliver(plan{})
	}
	for range 2 {
		time.Sleep(interval + 100*time.Millisecond)
		s.cleanRun()
	}
	for _, violation := range s.receiver.Violations() {
		s.Errorf("receiver: %s", violation)
	}
	want := map[string]float64{}
	for series := range contracttest.Of(s.registry, contracttest.ScansAt(s.registry, time.Now())) {
		want[series.Key()] = series.Value
	}
	have := map[string]contracttest.Last{}
	for _, series := range s.receiver.All() {
		if key := series.String(); isCounted(key) {
			last := series.Last()
			have[key] = contracttest.Last{At: last.Timestamp, Value: last.Value}
			if have[key].Ended() {
				s.counts.Ended++
			}
		}
	}
	s.counts.Series = len(have)
	for _, d := range contracttest.Check(want, have) {
		s.Errorf("%s: %s %s", d.Fault, d.Key, d.Text)
	}
}

func (s *storm) cleanRun() {
	if result := s.run(plan{}); result == nil || len(result.Errors) > 0 {
		s.Errorf("a run without faults failed: %+v", result)
	}
}
