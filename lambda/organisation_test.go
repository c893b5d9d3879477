package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The organisation that go test simulates; make organisation sets the variables.
const (
	suiteAccounts    = 6  // ORGANISATION_ACCOUNTS, in four Regions each
	suiteTagged      = 10 // ORGANISATION_IMAGES, tagged ones of a registry, the median
	suiteConcurrency = 4  // ORGANISATION_CONCURRENCY

	organisationMember = "ecr-remote-write"
	slotInterval       = 2 * time.Minute
	visibility         = 115 * time.Second
	runTimeout         = 110 * time.Second
)

var organisationIn = []string{"eu-west-1", "eu-central-1", "us-east-1", "us-west-2"}

// An organisation for an hour, in virtual time: all registries are read from one stack, with an
// outage of the endpoint, one of ECR in a Region, and a crash in every tenth run.
func TestOrganisationHour(t *testing.T) {
	isolate(t)
	accounts := fromEnviron(t, "ORGANISATION_ACCOUNTS", suiteAccounts)
	images := fromEnviron(t, "ORGANISATION_IMAGES", suiteTagged)
	concurrency := fromEnviron(t, "ORGANISATION_CONCURRENCY", suiteConcurrency)
	synctest.Test(t, func(t *testing.T) {
		w := newOrganisationWorld(t, accounts, images)
		key := w.aws.NewKey()
		t.Setenv("AWS_ACCESS_KEY_ID", key.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
		t.Setenv("AWS_SESSION_TOKEN", key.SessionToken)
		w.environ = []string{
			"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "REMOTE_WRITE_PROTOCOL=1.0", "CLOUDWATCH_METRICS=false",
			"STATE_URL=s3://" + bucketName + "/stack/" + objectKey, "QUEUE_URL=https://" + hostQueue + "/111122223333/targets.fifo",
			fmt.Sprint("TARGET_CONCURRENCY=", concurrency), "TARGETS=" + strings.Join(w.list, ","), "REMOTE_WRITE_SAMPLES_PER_SECOND=170000",
		}
		w.hour(t, concurrency)
		w.report(t)
	})
}

const hostQueue = "sqs.invalid"

func isQueue(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
}

// organisationWorld is what surrounds the function.
type organisationWorld struct {
	aws     *ecrtest.Organisation
	environ []string
	list    []string // of TARGETS

	mu      sync.Mutex
	queue   *groupQueue
	s3      *objectStore
	used    cost.Usage
	begin   time.Time
	pushes  map[string]*pushed // by registry
	seconds map[int64]int      // samples by second
	running map[string]bool    // registries that have a run
	runs    int                // of workers
	crashes int
	crashed map[string]time.Time // the last crash by registry
	counts  map[string]int
	// The faults: until when the endpoint, and ECR in a Region, do not respond.
	endpointDown, regionDown bool
	crashing                 bool
}

// pushed is what the endpoint has of one registry.
type pushed struct {
	// last and before are the timestamps of the last two pushes, in milliseconds. The last one
	// may be under way.
	last, before int64
	at           time.Time
	samples      map[int64]int // of the registry's own families, by timestamp
}

func newOrganisationWorld(t *testing.T, accounts, images int) *organisationWorld {
	t.Helper()
	w := &organisationWorld{
		aws: ecrtest.NewOrganisation("111122223333", organisationIn...), queue: newGroupQueue(visibility), s3: &objectStore{objects: map[string][]byte{}},
		pushes: map[string]*pushed{}, seconds: map[int64]int{}, running: map[string]bool{}, crashed: map[string]time.Time{}, counts: map[string]int{},
	}
	for i := range accounts {
		id := fmt.Sprintf("%012d", 200_000_000_000+i)
		w.aws.AddAccount(id, organisationIn...)
		w.aws.PutRole(id, ecrtest.Role{Name: organisationMember})
		for k, in := range organisationIn {
			registry := ecrtest.NewRegistry(id, in)
			n := images/2 + (i*7+k*3)%(images+1) // images, as the median
			must(registry.Generate(uint64(i*4+k), ecrtest.RealisticShape(max(1, n/10), n, time.Now())))
			must(registry.SetPullTimeExclusions("arn:aws:iam::" + id + ":role/" + organisationMember))
			w.aws.AddRegistry(registry)
			w.list = append(w.list, id+":"+in)
		}
	}
	return w
}

// organisationEnvironment is an execution environment.
type organisationEnvironment struct {
	w    *organisationWorld
	left int // requests until it is killed; negative for never
	dead bool
}

// RoundTrip carries a request of an environment.
func (e *organisationEnvironment) RoundTrip(r *http.Request) (*http.Response, error) {
	w := e.w
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	latency := 50 * time.Millisecond
	if req.service == serviceS3 || isQueue(r) {
		latency = 20 * time.Millisecond
	}
	time.Sleep(latency)
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.left--; e.left == 0 || e.dead {
		e.dead = true
		return nil, errKilled{}
	}
	response := func(status int) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
	}
	switch {
	case isQueue(r):
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		w.used.Messages++
		return w.queue.serve(operation, req.body), nil
	case req.service == serviceS3:
		if r.Method == http.MethodPut {
			w.used.Puts++
		} else {
			w.used.Gets++
		}
		return w.s3.serve(r, req.body).Result(), nil
	case req.service == serviceReceiver:
		if w.endpointDown {
			return response(http.StatusServiceUnavailable), nil
		}
		return response(http.StatusNoContent), w.receive(req.body)
	case w.regionDown && strings.Contains(r.Header.Get("Authorization"), "/"+organisationIn[0]+"/ecr/"):
		return response(http.StatusServiceUnavailable), nil
	}
	w.counts[req.operation]++
	return answered(w.aws, req)
}

// receive takes a request to the endpoint. All of its samples are of one registry, or the
// planner's.
func (w *organisationWorld) receive(compressed []byte) error {
	body, err := snappy.Decode(nil, compressed)
	if err != nil {
		return err
	}
	var message prompb.WriteRequest
	if err := message.Unmarshal(body); err != nil {
		return err
	}
	w.used.Requests++
	w.used.Bytes += float64(len(compressed))
	w.used.Samples += float64(len(message.Timeseries))
	w.used.GBSeconds += float64(len(message.Timeseries)) * cpuOfSample / processor * memory // virtual time has none
	w.seconds[int64(time.Since(w.begin).Seconds())] += len(message.Timeseries)
	if len(message.Timeseries) == 0 {
		return nil
	}
	labels := map[string]string{}
	for _, label := range message.Timeseries[0].Labels {
		labels[label.Name] = label.Value
	}
	if strings.HasPrefix(labels["__name__"], "aws_ecr_exporter_target") && labels["account_name"] == "" || labels["registry_id"] == "" {
		return nil // of the planner
	}
	name := labels["registry_id"] + "/" + labels["region"]
	p := w.pushes[name]
	if p == nil {
		p = &pushed{samples: map[int64]int{}}
		w.pushes[name] = p
	}
	at := message.Timeseries[0].Samples[0].Timestamp
	if at < p.last {
		return fmt.Errorf("%s: samples of %d after those of %d", name, at, p.last)
	}
	if at > p.last {
		delete(p.samples, p.before)
		p.before, p.last = p.last, at
	}
	p.at = time.Now()
	for _, series := range message.Timeseries {
		if name := series.Labels[0].Value; !strings.HasPrefix(name, "aws_ecr_exporter_") {
			p.samples[at]++
		}
	}
	return nil
}

// series is how many series the last whole push of a registry had.
func (p *pushed) series() int { return max(p.samples[p.last], p.samples[p.before]) }

// hour lets the schedule and the mapping invoke the function: minutes in which all is read, then
// the outages one after the other, with crashes throughout.
func (w *organisationWorld) hour(t *testing.T, concurrency int) {
	t.Helper()
	w.begin = time.Now().Truncate(time.Minute).Add(time.Minute)
	time.Sleep(time.Until(w.begin))
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for n := range concurrency {
		workers.Go(func() { w.work(ctx, t, n) })
	}
	planner := newFunctionOver(&organisationEnvironment{w: w}, w.environ, w)
	calm := map[string]int{}
	check := func(what string, slots int) {
		t.Helper()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.pushes) != len(w.list) {
			t.Errorf("%s: %d registries were pushed, want %d", what, len(w.pushes), len(w.list))
		}
		late, lost := 0, 0
		for name, p := range w.pushes {
			// A run that crashed is made up for in as many slots.
			if time.Since(latestOf(p.at, w.crashed[name])) > time.Duration(slots)*slotInterval {
				late++
			}
			if p.series() < calm[name] && time.Since(w.crashed[name]) > time.Duration(slots)*slotInterval {
				lost++
			}
		}
		if late > 0 || lost > 0 {
			t.Errorf("%s: %d registries were not pushed within %d slots, %d not with all series", what, late, slots, lost)
		}
	}
	// All is read in the first minutes and due again after 30, in the outage of ECR.
	const endpoint, ecr, outage = 14, 31, 15
	for minute := range 60 {
		time.Sleep(time.Until(w.begin.Add(time.Duration(minute) * time.Minute)))
		w.mu.Lock()
		w.crashing = minute >= endpoint && minute < 56
		w.endpointDown = minute >= endpoint && minute < endpoint+outage
		w.regionDown = minute >= ecr && minute < ecr+outage
		w.mu.Unlock()
		switch minute {
		case endpoint:
			check("calm", 1)
			w.mu.Lock()
			for name, p := range w.pushes {
				calm[name] = p.series()
			}
			w.mu.Unlock()
		case endpoint + outage + 2*int(slotInterval/time.Minute):
			check("after the outage of the endpoint", 2)
		case ecr + outage - 1:
			check("in the outage of ECR", 2)
		case ecr + outage + 2*int(slotInterval/time.Minute):
			check("after the outage of ECR", 2)
		}
		at := time.Now().UTC().Truncate(time.Minute).Format(time.RFC3339)
		event := fmt.Sprintf(`{"source":"aws.events","detail-type":"Scheduled Event","time":%q}`, at)
		begun := time.Now()
		if _, err := planner.handle(ctx, []byte(event)); err != nil && !w.endpointDown {
			t.Errorf("minute %d: %v", minute, err)
		}
		w.invoked(time.Since(begun))
	}
	time.Sleep(time.Until(w.begin.Add(time.Hour)))
	check("at the end", 1)
	stop()
	workers.Wait()
}

func (w *organisationWorld) invoked(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used.Invocations++
	w.used.GBSeconds += took.Seconds() * memory
	w.used.LogBytes += platformLog
}

// Write counts what is logged.
func (w *organisationWorld) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used.LogBytes += float64(len(p))
	return len(p), nil
}

// work is one of the mapping's pollers, with an environment of its own.
func (w *organisationWorld) work(ctx context.Context, t *testing.T, n int) {
	var env *organisationEnvironment
	var f *function
	for ctx.Err() == nil {
		w.mu.Lock()
		m, next := w.queue.receive()
		w.mu.Unlock()
		if m == nil {
			wait := time.Minute
			if !next.IsZero() {
				wait = min(wait, time.Until(next))
			}
			select {
			case <-ctx.Done():
			case <-w.queue.arrived:
				w.queue.notify() // for the others
				time.Sleep(time.Millisecond * time.Duration(1+n))
			case <-time.After(wait):
			}
			w.mu.Lock()
			if w.queue.waiting() == 0 {
				select {
				case <-w.queue.arrived:
				default:
				}
			}
			w.mu.Unlock()
			continue
		}
		if env == nil || env.dead {
			env = &organisationEnvironment{w: w}
			f = newFunctionOver(env, w.environ, w)
		}
		w.mu.Lock()
		if w.running[m.group] {
			t.Errorf("%s has two runs at once", m.group)
		}
		w.running[m.group] = true
		w.runs++
		env.left = 0
		if w.crashing && w.runs%10 == 0 {
			env.left = 1 + w.runs/10%8
			w.crashes++
		}
		w.used.Messages += 2 // received, deleted
		w.mu.Unlock()
		payload, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
			"messageId": m.id, "eventSource": "aws:sqs", "body": m.body,
			"attributes": map[string]string{"MessageGroupId": m.group, "SentTimestamp": fmt.Sprint(m.sent.UnixMilli())},
		}}})
		must(err)
		invocation, cancel := context.WithTimeout(ctx, runTimeout)
		begun := time.Now()
		answer, err := f.handle(invocation, payload)
		cancel()
		w.invoked(time.Since(begun))
		w.mu.Lock()
		delete(w.running, m.group)
		response, ok := answer.(events.SQSEventResponse)
		switch {
		case env.dead: // visible again after a while
			w.crashed[m.group] = time.Now()
		case err != nil || !ok || len(response.BatchItemFailures) > 0:
			t.Errorf("%s: %v, %v", m.group, answer, err)
		default:
			w.queue.remove(m)
		}
		w.mu.Unlock()
	}
}

func latestOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// report writes the figures of docs/organisation.md.
func (w *organisationWorld) report(t *testing.T) {
	t.Helper()
	var perSecond []int
	for second := int64(0); second < 3600; second++ {
		perSecond = append(perSecond, w.seconds[second])
	}
	slices.Sort(perSecond)
	quantile := func(q float64) int { return perSecond[int(math.Min(q*3600, 3599))] }
	series := 0
	for _, p := range w.pushes {
		series += p.series()
	}
	month := times(w.used, cost.Month.Hours())
	month.Messages += pollsADay * 30
	bill := cost.ListPrices().Bill(month, true)
	t.Logf("%d registries, %d series, an hour: %d messages, %d runs of which %d crashed, %d calls of AWS, %.0f GB-seconds, %.1f million samples",
		len(w.list), series, w.queue.sent, w.runs, w.crashes, total(w.counts), w.used.GBSeconds, w.used.Samples/1e6)
	t.Logf("samples a second: %.0f on average, 50%% %d, 99%% %d, at most %d", w.used.Samples/3600, quantile(0.5), quantile(0.99), perSecond[3599])
	t.Logf("a month of such hours: $%.0f, of which Lambda $%.0f, SQS $%.0f, S3 $%.0f, logs $%.0f, AMP $%.0f",
		bill.Total(), bill.Lambda, bill.SQS, bill.S3, bill.Logs, bill.Ingestion+bill.Storage+bill.Queries)
}

func total(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
