package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/golang/snappy"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The size of the month that go test simulates; make month sets the variables.
const (
	suiteImages = 300 // MONTH_IMAGES, tagged
	raceImages  = 100 // the same with the race detector
	suiteDays   = 1   // MONTH_DAYS, which are taken 30/MONTH_DAYS times
	runningOf   = 25  // MONTH_RUNNING: of so many tagged images one runs, 400 of 10,000
)

// TestMonth lets days pass in a simulated registry, with pushes, deletions, deployments and
// scans, counts on the wire what AWS bills, and holds the forecast that -cost makes before
// them within 5 % of it.
func TestMonth(t *testing.T) {
	isolate(t)
	images := suiteImages
	if raced() {
		images = raceImages
	}
	images = fromEnviron(t, "MONTH_IMAGES", images)
	days, running := fromEnviron(t, "MONTH_DAYS", suiteDays), fromEnviron(t, "MONTH_RUNNING", runningOf)
	for i, idle := range []string{"push", "never"} {
		t.Run(idle, func(t *testing.T) {
			environ := []string{
				"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "REMOTE_WRITE_PROTOCOL=1.0",
				"STATE_URL=s3://" + bucketName + "/" + objectKey,
			}
			if idle == "never" {
				if !isSetting("IDLE_IMAGES") {
					t.Skip("there is no IDLE_IMAGES yet")
				}
				environ = append(environ, "IDLE_IMAGES=never", "QUERY_URL=https://"+hostReceiver+queryPath)
			}
			synctest.Test(t, func(t *testing.T) {
				m := newMonth(t, images, running)
				forecast, bill := m.forecast(t, environ, i)
				m.run(t, environ, days)
				m.used.Messages += pollsADay * float64(days)
				m.used.Metrics = forecast.Usage.Metrics / 30 * float64(days)
				used := times(m.used, 30/float64(days))
				m.compare(t, forecast.Usage, used)
				compare(t, "dollars", forecast.Bill.Total(), bill(used).Total())
				t.Logf("forecast %+v\nmonth    %+v", forecast.Bill, bill(used))
			})
		})
	}
}

const (
	queryPath = "/api/v1/query"
	// pollsADay are those of Lambda's pollers at the queue, which no request of the function
	// shows: five that each wait 20 seconds.
	pollsADay = 5 * 86400 / 20
	// What the simulated services take.
	latencyECR, latencyS3, latencyReceiver = 50 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond
	// memory is that of the function, in GB, and processor its share of one.
	memory, processor = 0.25, 256.0 / 1769
	// cpuOfSample is what pushing a series takes of a processor, in seconds: docs/performance.md.
	cpuOfSample = 20.5e-3 / 51_000
	// platformLog are the lines of Lambda itself about an invocation, in bytes.
	platformLog = 900
)

// month is a registry and a cluster, and the services around the function. It counts what
// AWS would bill.
type month struct {
	registry *ecrtest.Registry
	aws      *ecrtest.Server
	rng      *rand.Rand
	pushed   int // images, so far
	// pushes are the manifests that are pushed a day, as many as in the 30 days before.
	pushes  float64
	running []string // the image_id of what runs

	mu   sync.Mutex
	s3   *objectStore
	used cost.Usage
}

func newMonth(t *testing.T, images, running int) *month {
	t.Helper()
	m := &month{registry: ecrtest.NewRegistry(account, region), s3: &objectStore{objects: map[string][]byte{}}, rng: rand.New(rand.NewPCG(1, 2))}
	now := time.Now()
	must(m.registry.Generate(1, ecrtest.RealisticShape(max(1, images/50), images, now)))
	must(m.registry.SetPullTimeExclusions("arn:aws:iam::" + account + ":role/ecr-remote-write"))
	for _, repository := range m.registry.Repositories() {
		for _, image := range m.registry.Images(repository.Name) {
			if image.PushedAt.After(now.Add(-cost.Month)) {
				m.pushes += 1.0 / 30
			}
			if len(image.Tags) > 0 && image.Status == "ACTIVE" && m.rng.IntN(running) == 0 {
				m.running = append(m.running, m.imageID(repository.Name, image.Digest))
			} else if !image.PulledAt.IsZero() { // what does not run is not pulled any more
				must(m.registry.UpdateImage(repository.Name, image.Digest, func(image *ecrtest.Image) { image.PulledAt = image.PushedAt }))
			}
		}
	}
	m.aws = ecrtest.New(m.registry)
	return m
}

func (m *month) imageID(repository, digest string) string {
	return m.registry.URI(repository) + "@" + digest
}

// RoundTrip responds for ECR, S3, and a receiver that accepts everything and can be asked what
// runs.
func (m *month) RoundTrip(r *http.Request) (*http.Response, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	time.Sleep(map[string]time.Duration{serviceECR: latencyECR, serviceS3: latencyS3, serviceReceiver: latencyReceiver}[req.service])
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case req.service == serviceECR:
		return answered(m.aws, req)
	case req.service == serviceS3:
		if r.Method == http.MethodPut {
			m.used.Puts++
		} else {
			m.used.Gets++
		}
		return m.s3.serve(r, req.body).Result(), nil
	case r.URL.Path == queryPath:
		return m.answerQuery(r), nil
	}
	samples, err := samplesIn(req.body)
	m.used.Samples += float64(samples)
	m.used.GBSeconds += float64(samples) * cpuOfSample / processor * memory
	m.used.Bytes += float64(len(req.body))
	m.used.Requests++
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, err
}

// answerQuery answers the query for what runs.
func (m *month) answerQuery(r *http.Request) *http.Response {
	m.used.QuerySamples += float64(len(m.running))
	var results []string
	for _, id := range m.running {
		results = append(results, fmt.Sprintf(`{"metric":{"image_id":%q},"value":[%d,"1"]}`, id, time.Now().Unix()))
	}
	body := `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(results, ",") + "]}}"
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// samplesIn counts the samples of a request of remote write 1.0: of the fields 1 of the
// message, which are series, the fields 2.
//
// See https://protobuf.dev/programming-guides/encoding/
func samplesIn(compressed []byte) (samples int, err error) {
	body, err := snappy.Decode(nil, compressed)
	if err != nil {
		return 0, err
	}
	return samples, fields(body, func(number int, series []byte) error {
		if number != 1 {
			return nil
		}
		return fields(series, func(number int, _ []byte) error {
			if number == 2 {
				samples++
			}
			return nil
		})
	})
}

// fields calls do for each field of a message that consists of length-delimited ones.
func fields(message []byte, do func(number int, field []byte) error) error {
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		length, k := binary.Uvarint(message[max(n, 0):])
		if n <= 0 || k <= 0 || key&7 != 2 || length > uint64(len(message)-n-k) {
			return fmt.Errorf("field %d is not length-delimited", key>>3)
		}
		message = message[n+k:]
		if err := do(int(key>>3), message[:length]); err != nil {
			return err
		}
		message = message[length:]
	}
	return nil
}

// Write counts what is logged.
func (m *month) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used.LogBytes += float64(len(p))
	return len(p), nil
}

// forecast returns what -cost says of the registry for a value of IDLE_IMAGES, and what
// prices a usage like it.
func (m *month) forecast(t *testing.T, environ []string, idle int) (cost.Forecast, func(cost.Usage) cost.Bill) {
	t.Helper()
	c, err := config.Load(environ, config.ToPrint)
	if err != nil {
		t.Fatal(err)
	}
	export, err := wire(t.Context(), c, wiring{log: slog.New(slog.DiscardHandler), print: true, transport: m})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := export.Print(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEstimator(c, export.Table, "")
	if err != nil {
		t.Fatal(err)
	}
	e.AMP = true
	forecasts, err := costOf(c, e, export, &summary)
	if err != nil {
		t.Fatal(err)
	}
	return forecasts[idle], func(u cost.Usage) cost.Bill { return e.Prices.Bill(u, true) }
}

// run lets days pass, after two hours in which what is due first is read.
func (m *month) run(t *testing.T, environ []string, days int) {
	t.Helper()
	const before = 2 * time.Hour
	begin := time.Now()
	end := begin.Add(before + time.Duration(days)*24*time.Hour)
	var at []time.Time // of the pushes
	for range int(math.Round(m.pushes / manifests * float64(days))) {
		at = append(at, begin.Add(before+time.Duration(m.rng.Int64N(int64(end.Sub(begin)-before)))))
	}
	slices.SortFunc(at, time.Time.Compare)
	f := newFunctionOver(m, environ, m)
	for tick := begin; tick.Before(end); tick = tick.Add(schedule) {
		time.Sleep(time.Until(tick))
		if tick.Equal(begin.Add(before)) {
			m.used = cost.Usage{}
		}
		if tick.Sub(begin)%(6*time.Hour) == 0 { // environments live for hours
			f = newFunctionOver(m, environ, m)
			m.pull()
		}
		m.invoke(t, f, []byte("{}"))
		for ; len(at) > 0 && at[0].Before(tick.Add(schedule)); at = at[1:] {
			time.Sleep(time.Until(at[0]))
			for _, event := range m.change(t) {
				m.invoke(t, f, event)
			}
		}
	}
	time.Sleep(time.Until(end))
}

func (m *month) invoke(t *testing.T, f *function, payload []byte) {
	ctx, cancel := context.WithTimeout(t.Context(), 110*time.Second)
	defer cancel()
	start := time.Now()
	answer, err := f.handle(ctx, payload)
	response, batch := answer.(events.SQSEventResponse)
	if err != nil || len(response.BatchItemFailures) > 0 {
		t.Errorf("%v, %v", answer, err)
	}
	m.used.Invocations++
	m.used.GBSeconds += time.Since(start).Seconds() * memory
	m.used.LogBytes += platformLog
	if batch {
		m.used.Messages += 3 // sent, received, deleted
	}
}

// indexes is the share of the pushes that are those of an index, with manifests each.
const (
	indexes   = 0.7
	manifests = 1 + 3*indexes // of a push: two platforms and an attestation besides the index
)

// change pushes a tagged image, mostly an index with its children, and deploys it in the place
// of another one. It deletes as many old ones of the repository. It returns the events, of scans
// too.
func (m *month) change(t *testing.T) (payloads [][]byte) {
	t.Helper()
	now := time.Now()
	name, old := m.old()
	var changed []json.RawMessage
	pushed := 0
	push := func(image ecrtest.Image, scanned bool) {
		pushed++
		image.PushedAt, image.Status, image.SizeBytes = now, "ACTIVE", new(int64(1+m.rng.IntN(1e9)))
		must(m.registry.PutImage(name, image))
		changed = append(changed, m.registry.PushEvent(name, image.Digest, strings.Join(image.Tags, ""), now))
		if scanned {
			counts := map[string]int32{"CRITICAL": 1 + int32(m.rng.IntN(50)), "HIGH": 1, "MEDIUM": 1, "LOW": 1}
			at := now.Truncate(time.Second)
			must(m.registry.Rescan(name, image.Digest, ecrtest.ScanState{At: at, CompletedAt: at, Counts: counts}))
			scan, err := m.registry.ScanEvent(name, image.Digest, now)
			must(err)
			changed = append(changed, scan)
		}
	}
	m.pushed++
	tag := fmt.Sprint("month-", m.pushed)
	image := ecrtest.Image{Digest: ecrtest.Digest(tag), Tags: []string{tag}}
	isIndex := m.rng.Float64() < indexes
	if isIndex {
		amd64, arm64, attestation := ecrtest.Digest(tag+"amd64"), ecrtest.Digest(tag+"arm64"), ecrtest.Digest(tag+"attestation")
		push(ecrtest.Image{Digest: amd64}, true)
		push(ecrtest.Image{Digest: arm64}, true)
		push(ecrtest.Image{Digest: attestation}, false)
		image.ManifestMediaType = inventory.OCIIndex.String()
		image.Children = []ecrtest.Child{{Digest: amd64, Platform: "linux/amd64"}, {Digest: arm64, Platform: "linux/arm64"}, ecrtest.Attestation(attestation, amd64)}
	}
	push(image, !isIndex)
	for _, image := range old[:min(len(old), pushed)] {
		must(m.registry.DeleteImage(name, image.Digest))
		changed = append(changed, m.registry.DeleteEvent(name, image.Digest, strings.Join(image.Tags[:min(1, len(image.Tags))], ""), now))
	}
	if len(m.running) > 0 {
		m.running[m.rng.IntN(len(m.running))] = m.imageID(name, image.Digest)
	}
	for _, event := range changed {
		batch, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", EventSource: "aws:sqs", Body: string(event)}}})
		must(err)
		payloads = append(payloads, batch)
	}
	return payloads
}

// old returns images of a repository that can be deleted: first the oldest tagged one with its
// children, then the oldest without a tag. None of them runs or is a child of another one.
func (m *month) old() (name string, old []ecrtest.Image) {
	for {
		name = pick(m.rng, m.registry.Repositories()...).Name
		images := m.registry.Images(name)
		slices.SortStableFunc(images, func(a, b ecrtest.Image) int { return a.PushedAt.Compare(b.PushedAt) })
		parents := map[string]int{}
		for _, image := range images {
			for _, child := range image.Children {
				parents[child.Digest]++
			}
		}
		first := slices.IndexFunc(images, func(image ecrtest.Image) bool {
			return len(image.Tags) > 0 && image.Status == "ACTIVE" && !slices.Contains(m.running, m.imageID(name, image.Digest)) &&
				!slices.ContainsFunc(image.Children, func(child ecrtest.Child) bool { return parents[child.Digest] > 1 })
		})
		if first < 0 || len(images) < 10 {
			continue
		}
		for _, child := range images[first].Children {
			if image, there := m.registry.Image(name, child.Digest); there {
				old = append(old, image)
			}
		}
		old = append([]ecrtest.Image{images[first]}, old...)
		for _, image := range images {
			if len(image.Tags) == 0 && parents[image.Digest] == 0 && len(image.Children) == 0 {
				old = append(old, image)
			}
		}
		return name, old
	}
}

// pull records pulls: of what was pulled within the last 90 days each is pulled
// again before these are over, so that as many images are in use by their pulls as before.
func (m *month) pull() {
	now := time.Now()
	for _, repository := range m.registry.Repositories() {
		for _, image := range m.registry.Images(repository.Name) {
			if age := now.Sub(image.PulledAt); age > 88*24*time.Hour && age < 90*24*time.Hour {
				must(m.registry.UpdateImage(repository.Name, image.Digest, func(image *ecrtest.Image) { image.PulledAt = now }))
			}
		}
	}
}

// times is a usage so many times.
func times(u cost.Usage, n float64) cost.Usage {
	v := reflect.ValueOf(&u).Elem()
	for i := range v.NumField() {
		v.Field(i).SetFloat(v.Field(i).Float() * n)
	}
	return u
}

// compare logs each part of a usage, and checks those of which a forecast says more than that
// they are cheap.
func (m *month) compare(t *testing.T, forecast, used cost.Usage) {
	t.Helper()
	f, u := reflect.ValueOf(forecast), reflect.ValueOf(used)
	for i := range f.NumField() {
		name, want, got := f.Type().Field(i).Name, f.Field(i).Float(), u.Field(i).Float()
		if want == 0 && got == 0 {
			continue
		}
		t.Logf("%-12s forecast %15.1f, counted %15.1f: %+.1f %%", name, want, got, 100*(want/got-1))
		switch name {
		case "Samples", "Bytes", "Requests", "Invocations", "Gets", "Messages":
			compare(t, name, want, got)
		}
	}
}

func compare(t *testing.T, name string, forecast, counted float64) {
	t.Helper()
	if off := forecast/counted - 1; math.Abs(off) > 0.05 || math.IsNaN(off) {
		t.Errorf("%s: the forecast of %.2f is %+.1f %% off the %.2f counted", name, forecast, 100*off, counted)
	}
}
