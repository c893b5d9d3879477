package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// plan is what a seed decides beforehand. What happens to the registry is drawn as it goes,
// from the same generator; what happens to a request follows from the seed, the invocation
// and the request (see simulation.chance), so that it does not depend on other requests.
type plan struct {
	seed  uint64
	storm time.Duration
	// settings are the function's; changed are those after changedAt, if that is not zero.
	settings, changed settings
	changedAt         time.Duration

	protocols         []remotewritetest.Protocol
	unaware           bool
	receiverMaxSeries int
	enhanced, events  bool
	reliable          bool // no event is lost
	indexes           bool // what is pushed is an index of two images

	windows []window
	// killed and dies are the probabilities that an invocation is killed, and that an
	// environment dies after one.
	killed, dies float64
	// mutations are the times of changes to the registry.
	mutations []time.Duration
	// dieAtEnd says that the environment dies with the last fault.
	dieAtEnd bool
}

// settings are those that seeds vary.
type settings struct {
	interval, scanInterval, saveInterval time.Duration
	protocol                             string
	maxSeries                            int
	ecrConcurrency, sendConcurrency      int
	tagsExclude, familiesExclude, zone   string
	file, memory                         bool
}

func (s *settings) environ(stateFile string) []string {
	state := "s3://" + bucketName + "/" + objectKey
	switch {
	case s.file:
		state = "file://" + stateFile
	case s.memory:
		state = "memory:"
	}
	environ := []string{
		"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "STATE_URL=" + state,
		"ECR_REQUESTS_PER_SECOND=10000", "SCAN_REQUESTS_PER_SECOND=10000", "CLOUDWATCH_METRICS=false",
		"CACHE_REFRESH_INTERVAL=" + s.interval.String(), "STATE_SAVE_INTERVAL=" + s.saveInterval.String(),
		"REMOTE_WRITE_PROTOCOL=" + s.protocol, fmt.Sprint("REMOTE_WRITE_MAX_SERIES=", s.maxSeries),
		fmt.Sprint("ECR_CONCURRENCY=", s.ecrConcurrency), fmt.Sprint("REMOTE_WRITE_CONCURRENCY=", s.sendConcurrency),
		"TAGS_EXCLUDE=" + s.tagsExclude, "FAMILIES_EXCLUDE=" + s.familiesExclude,
	}
	if s.scanInterval > 0 {
		environ = append(environ, "SCAN_REFRESH_INTERVAL="+s.scanInterval.String())
	}
	if s.zone != "" {
		environ = append(environ, "EXTERNAL_LABELS=zone="+s.zone)
	}
	return environ
}

func (s *settings) String() string {
	return strings.Join(slices.DeleteFunc(s.environ("FILE"), func(v string) bool {
		return strings.HasSuffix(v, "=") || strings.HasSuffix(v, "=10000") || strings.HasPrefix(v, "REMOTE_WRITE_URL") || strings.HasPrefix(v, "REMOTE_WRITE_AUTH") || strings.HasPrefix(v, "CLOUDWATCH")
	}), " ")
}

// window is a time in which requests to a service fail.
type window struct {
	service, fault string
	// operation, if not empty, is the only one that fails; repository likewise.
	operation, repository string
	from, to              time.Duration
	probability           float64
}

func (w window) String() string {
	s := fmt.Sprintf("%s from %v to %v: %s with probability %.1f", w.service, w.from, w.to, w.fault, w.probability)
	if w.operation != "" {
		s += ", " + w.operation + " only"
	}
	if w.repository != "" {
		s += ", of " + w.repository
	}
	return s
}

// schedule is the time between two scheduled runs.
const schedule = 2 * time.Minute

func newPlan(seed uint64, rng *rand.Rand) *plan {
	p := &plan{seed: seed, storm: time.Duration(20+rng.IntN(30)) * time.Minute}
	s := &p.settings
	s.interval = pick(rng, 2*time.Minute, 5*time.Minute, 10*time.Minute, 30*time.Minute)
	s.saveInterval = pick(rng, 0, 5*time.Minute, 5*time.Minute)
	s.protocol = pick(rng, "auto", "auto", "1.0", "2.0")
	s.maxSeries = pick(rng, 20, 50, 5000)
	s.ecrConcurrency, s.sendConcurrency = 1, 1
	if rng.IntN(8) == 0 {
		s.ecrConcurrency, s.sendConcurrency = 4, 4
	}
	s.file = rng.IntN(8) == 0
	s.memory = !s.file && rng.IntN(16) == 0
	p.enhanced = rng.IntN(5) == 0
	p.indexes = seed%4 == 0 // takes no random number: seeds stay what they are
	if p.events = rng.IntN(8) > 0; !p.events {
		s.scanInterval = 5 * time.Minute
	}
	if s.protocol != "2.0" {
		switch rng.IntN(4) {
		case 0:
			p.protocols = []remotewritetest.Protocol{remotewritetest.V1}
		case 1:
			p.protocols, p.unaware = []remotewritetest.Protocol{remotewritetest.V1}, true
		}
	}
	if rng.IntN(6) == 0 {
		p.receiverMaxSeries = 15
	}
	p.killed = pick(rng, 0, 0.05, 0.2)
	p.dies = pick(rng, 0, 0.05, 0.15)
	p.dieAtEnd = rng.IntN(2) == 0
	p.changed = *s
	if rng.IntN(4) == 0 {
		p.changedAt = p.drawTime(rng)
		switch rng.IntN(3) {
		case 0:
			p.changed.tagsExclude = "v[0-9]*[02468]"
		case 1:
			p.changed.zone = "b"
		default:
			p.changed.familiesExclude = "aws_ecr_image_size_in_bytes|aws_ecr_image_scan_severity_count"
		}
		if rng.IntN(2) == 0 {
			p.settings, p.changed = p.changed, p.settings
		}
	}
	p.drawWindows(rng)
	for range 5 + rng.IntN(25) {
		at := p.drawTime(rng)
		if rng.IntN(3) == 0 { // in the middle of a run
			at = at.Truncate(schedule) + time.Duration(rng.IntN(400))*time.Millisecond
		}
		p.mutations = append(p.mutations, at+137*time.Microsecond) // never at the time of a request
	}
	slices.Sort(p.mutations)
	return p
}

func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

func (p *plan) drawTime(rng *rand.Rand) time.Duration {
	return time.Duration(rng.Int64N(int64(p.storm))).Truncate(time.Millisecond)
}

// The faults of each service (see simulation.respond…).
var faultsOf = map[string][]string{
	serviceECR:      {"throttled", "throttled", "500", "503", "reset", "truncated", "garbage", "hang", "empty", "denied"},
	serviceS3:       {"SlowDown", "500", "hang", "denied", "stored without response", "truncated"},
	serviceReceiver: {"429", "429 with Retry-After", "503", "400", "400 for a repository", "413", "403", "stored without response", "stored, then reset", "stored in part, then 500", "slow", "unreachable"},
}

func (p *plan) drawWindows(rng *rand.Rand) {
	for _, service := range []string{serviceECR, serviceS3, serviceReceiver} {
		for range rng.IntN(4) {
			w := window{service: service, fault: pick(rng, faultsOf[service]...), from: p.drawTime(rng), probability: pick(rng, 0.1, 0.4, 0.4, 1)}
			w.to = min(w.from+time.Duration(1+rng.IntN(12))*time.Minute, p.storm)
			if service == serviceECR && rng.IntN(3) == 0 {
				w.operation = pick(rng, "DescribeRepositories", "DescribeImages", "DescribeImages", "DescribeImageScanFindings")
			}
			if w.fault == "400 for a repository" || service == serviceECR && rng.IntN(4) == 0 {
				w.repository = pick(rng, repositoryNames...)
			}
			p.windows = append(p.windows, w)
		}
	}
}

// repositoryNames are those that can exist.
var repositoryNames = []string{"app", "team/api", "team/web", "base", "tools/ci"}
