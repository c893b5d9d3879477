package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// What the same day wrote at commit 2f06216, the last one that stored only whole states.
const (
	wholesBefore = 705
	bytesBefore  = 16_091_741
)

// A day of 720 scheduled runs and 200 events with the default settings writes the whole state
// at most as often as before there were changes, and at most a tenth more bytes. A run stores
// the changes at most once.
func TestDay(t *testing.T) {
	isolate(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDay()
		d.run(t)
		t.Logf("%d whole states and %d times the changes: %d bytes", d.wholes, d.changes, d.bytes)
		if d.wholes > wholesBefore {
			t.Errorf("%d whole states were written, want at most %d", d.wholes, wholesBefore)
		}
		if d.bytes > bytesBefore*11/10 {
			t.Errorf("%d bytes were written, want at most 1.1 × %d", d.bytes, bytesBefore)
		}
		if d.changes == 0 {
			t.Error("no changes were stored: the test tests nothing")
		}
	})
}

// day is a registry and the services around the function, without faults.
type day struct {
	registry *ecrtest.Registry
	aws      *ecrtest.Server
	s3       *objectStore
	rng      *rand.Rand
	images   int // pushed so far

	// wholes and changes count the writes of the two objects, and changesInRun those of the
	// present run; bytes is the size of all together.
	wholes, changes, changesInRun int
	bytes                         int
}

func newDay() *day {
	d := &day{registry: ecrtest.NewRegistry(account, region), s3: &objectStore{objects: map[string][]byte{}}, rng: rand.New(rand.NewPCG(1, 2))}
	now := time.Now()
	for r := range 40 {
		name := fmt.Sprint("team/app-", r)
		must(d.registry.PutRepository(ecrtest.Repository{Name: name, CreatedAt: now, TagMutability: "MUTABLE"}))
		for i := range 2 + r%13 {
			size, tag, at := int64(1+d.rng.IntN(1e9)), fmt.Sprint("v", i), now.Add(-time.Duration(d.rng.IntN(1e6))*time.Second)
			image := ecrtest.Image{Digest: ecrtest.Digest(name + tag), Tags: []string{tag}, SizeBytes: &size, PushedAt: at, Status: "ACTIVE"}
			must(d.registry.PutImage(name, image))
			must(d.registry.Rescan(name, image.Digest, ecrtest.ScanState{At: at, CompletedAt: at, Counts: map[string]int32{"HIGH": 1 + int32(i)}}))
		}
	}
	d.aws = ecrtest.New(d.registry)
	return d
}

// RoundTrip responds for ECR, S3 and a receiver that accepts everything.
func (d *day) RoundTrip(r *http.Request) (*http.Response, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	switch req.service {
	case serviceECR:
		return answered(d.aws, req)
	case serviceReceiver:
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	if r.Method == http.MethodPut {
		d.bytes += len(req.body)
		if strings.HasSuffix(r.URL.Path, "/"+objectKey) {
			d.wholes++
		} else {
			d.changes++
			d.changesInRun++
		}
	}
	return d.s3.serve(r, req.body).Result(), nil
}

// run makes the day's runs. Events are at random times between them.
func (d *day) run(t *testing.T) {
	environ := []string{
		"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "REMOTE_WRITE_PROTOCOL=1.0",
		"STATE_URL=s3://" + bucketName + "/" + objectKey, "CLOUDWATCH_METRICS=false",
	}
	f := newFunctionOver(d, environ, io.Discard)
	const runs, notified = 720, 200
	begin := time.Now()
	var at []time.Duration // of the events
	for range notified {
		at = append(at, time.Duration(d.rng.Int64N(int64(runs*schedule))))
	}
	slices.Sort(at)
	for n := range runs {
		d.invoke(t, f, []byte("{}"))
		for ; len(at) > 0 && at[0] < time.Duration(n+1)*schedule; at = at[1:] {
			time.Sleep(time.Until(begin.Add(at[0])))
			d.invoke(t, f, d.event(t))
		}
		time.Sleep(time.Until(begin.Add(time.Duration(n+1) * schedule)))
	}
}

func (d *day) invoke(t *testing.T, f *function, payload []byte) {
	ctx, cancel := context.WithTimeout(t.Context(), 110*time.Second)
	defer cancel()
	d.changesInRun = 0
	answer, err := f.handle(ctx, payload)
	if response, batch := answer.(events.SQSEventResponse); err != nil || batch && len(response.BatchItemFailures) > 0 {
		t.Errorf("%v, %v", answer, err)
	}
	if d.changesInRun > 1 {
		t.Errorf("a run stored the changes %d times", d.changesInRun)
	}
}

// event changes the registry and returns a batch with the event: a new image, a deleted one,
// or a scan's result, in a repository that has images.
func (d *day) event(t *testing.T) []byte {
	now := time.Now()
	var images []ecrtest.Image
	name := ""
	for len(images) < 2 {
		name = pick(d.rng, d.registry.Repositories()...).Name
		images = slices.DeleteFunc(d.registry.Images(name), func(image ecrtest.Image) bool { return len(image.Tags) == 0 || image.Status != "ACTIVE" })
	}
	image := pick(d.rng, images...)
	var event json.RawMessage
	var err error
	switch p := d.rng.IntN(10); {
	case p < 5:
		d.images++
		size, tag := int64(1+d.rng.IntN(1e9)), fmt.Sprint("day-", d.images)
		image = ecrtest.Image{Digest: ecrtest.Digest(tag), Tags: []string{tag}, SizeBytes: &size, PushedAt: now, Status: "ACTIVE"}
		err = d.registry.PutImage(name, image)
		event = d.registry.PushEvent(name, image.Digest, tag, now)
	case p < 6:
		err = d.registry.DeleteImage(name, image.Digest)
		event = d.registry.DeleteEvent(name, image.Digest, image.Tags[0], now)
	default:
		at := now.Truncate(time.Second)
		counts := map[string]int32{"HIGH": 1 + int32(d.rng.IntN(50)), "LOW": 1 + int32(d.rng.IntN(50))}
		if err = d.registry.Rescan(name, image.Digest, ecrtest.ScanState{At: at, CompletedAt: at, Counts: counts}); err == nil {
			event, err = d.registry.ScanEvent(name, image.Digest, now)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	batch, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", EventSource: "aws:sqs", Body: string(event)}}})
	if err != nil {
		t.Fatal(err)
	}
	return batch
}
