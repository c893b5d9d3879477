package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

const (
	workerHome   = "111122223333"
	workerMember = "222233334444"
	workerRole   = "arn:aws:iam::" + workerMember + ":role/" + organisationMember
)

// workers are one execution environment of the function, and what surrounds it, in virtual time
// and without a network.
type workers struct {
	t        *testing.T
	aws      *ecrtest.Organisation
	s3       *objectStore
	queue    *groupQueue
	receiver *remotewritetest.Receiver
	log      bytes.Buffer
	environ  []string
	f        *function
	ctx      context.Context // of invocations
	runs     string          // the image_id of what runs
	asked    int             // how often the store was asked
	request  func()          // if set, is called for each request
}

// inWorkers runs a test of an environment with settings. The organisation has one image in each
// of three registries: the own one, and two of a member.
func inWorkers(t *testing.T, o remotewritetest.Options, settings []string, test func(w *workers)) {
	t.Helper()
	isolate(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)))
		w := &workers{
			t: t, ctx: t.Context(), aws: ecrtest.NewOrganisation(workerHome, "eu-west-1"), s3: &objectStore{objects: map[string][]byte{}},
			queue: newGroupQueue(visibility), receiver: remotewritetest.New(o),
		}
		w.aws.AddAccount(workerMember, "eu-west-1", "us-east-1")
		w.aws.PutRole(workerMember, ecrtest.Role{Name: organisationMember})
		for _, at := range [][2]string{{workerHome, "eu-west-1"}, {workerMember, "eu-west-1"}, {workerMember, "us-east-1"}} {
			registry := ecrtest.NewRegistry(at[0], at[1])
			for _, name := range []string{"app", "job"} {
				must(registry.PutRepository(ecrtest.Repository{Name: name}))
				must(registry.PutImage(name, ecrtest.Image{Digest: ecrtest.Digest(at[0] + at[1] + name), Tags: []string{"v1"}, PushedAt: time.Now()}))
			}
			w.aws.AddRegistry(registry)
		}
		key := w.aws.NewKey()
		t.Setenv("AWS_ACCESS_KEY_ID", key.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
		t.Setenv("AWS_SESSION_TOKEN", key.SessionToken)
		w.environ = append([]string{
			"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "CLOUDWATCH_METRICS=false", "SCAN_SOURCE=none",
			"STATE_URL=s3://" + bucketName + "/stack/" + objectKey, "QUEUE_URL=https://" + hostQueue + "/111122223333/targets.fifo",
			"TARGETS=" + workerHome + ":eu-west-1," + workerMember + ":*",
		}, settings...)
		w.restart()
		test(w)
		for _, violation := range w.receiver.Violations() {
			t.Error(violation)
		}
	})
}

// restart makes another environment, with further settings.
func (w *workers) restart(settings ...string) {
	w.environ = append(w.environ, settings...)
	w.f = newFunctionOver(w, w.environ, &w.log)
}

// RoundTrip carries a request of the environment.
func (w *workers) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.request != nil {
		w.request()
	}
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	switch {
	case isQueue(r):
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		return w.queue.serve(operation, req.body), nil
	case req.service == serviceS3:
		return w.s3.serve(r, req.body).Result(), nil
	case r.URL.Path == queryPath:
		w.asked++
		body := fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"image_id":%q},"value":[%d,"1"]}]}}`, w.runs, time.Now().Unix())
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	case req.service == serviceReceiver:
		return answered(w.receiver, req)
	}
	return answered(w.aws, req)
}

// work is a message for a registry in the present slot.
func (w *workers) work(account, region string, change ...func(*targets.Work)) string {
	work := targets.Work{
		Target: targets.Target{Account: account, Region: region, Interval: slotInterval, RegionLabel: true},
		Slot:   time.Now().UTC().Truncate(time.Minute),
	}
	if account == workerMember {
		work.Target.Role = workerRole
	}
	for _, f := range change {
		f(&work)
	}
	body, _, _ := work.Message()
	return body
}

// deliver has the mapping invoke the function with a message that was sent a while ago. It
// returns what was logged, and fails if the message would be delivered again.
func (w *workers) deliver(body string, ago time.Duration) []line {
	w.t.Helper()
	var about struct{ Account, Region string }
	_ = json.Unmarshal([]byte(body), &about)
	return w.deliverTo(about.Account+"/"+about.Region, body, ago)
}

// deliverTo is deliver with a message group other than the registry.
func (w *workers) deliverTo(group, body string, ago time.Duration) []line {
	w.t.Helper()
	payload, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"messageId": "message", "eventSource": "aws:sqs", "body": body,
		"attributes": map[string]string{"MessageGroupId": group, "SentTimestamp": fmt.Sprint(time.Now().Add(-ago).UnixMilli())},
	}}})
	must(err)
	answer, err := w.f.handle(w.ctx, payload)
	response, ok := answer.(events.SQSEventResponse)
	if err != nil || !ok || len(response.BatchItemFailures) > 0 {
		w.t.Errorf("%.80s: %v, %v: want the message deleted", body, answer, err)
	}
	return logged(w.t, &w.log)
}

// plan has the schedule invoke the function.
func (w *workers) plan() {
	w.t.Helper()
	if _, err := w.f.handle(w.t.Context(), []byte("{}")); err != nil {
		w.t.Error(err)
	}
	w.log.Reset()
}

// calls are those of AWS since before.
func (w *workers) calls(before map[string]int) map[string]int {
	calls := w.aws.Calls()
	for operation, n := range before {
		if calls[operation] -= n; calls[operation] == 0 {
			delete(calls, operation)
		}
	}
	return calls
}

// pushed are the last samples of a family, by registry, of those that have one of this moment.
func (w *workers) pushed(family string, at time.Time) map[string]float64 {
	found := map[string]float64{}
	for _, series := range w.receiver.Find(family) {
		if series.Last().Timestamp >= at.UnixMilli() {
			found[series.Labels["registry_id"]+"/"+series.Labels["region"]+" "+series.Labels["name"]] = series.Last().Value
		}
	}
	return found
}

const imageFamily = "aws_ecr_image_pushed_at_timestamp_seconds"

func has(lines []line, level, message string) bool {
	for _, l := range lines {
		if l.Level == level && strings.Contains(l.Message, message) {
			return true
		}
	}
	return false
}

// Work whose next slot has begun, and work that is none, is deleted and changes nothing.
func TestWorkLeftOut(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		for name, c := range map[string]struct{ body, level, message string }{
			"late":        {w.work(workerHome, "eu-west-1", func(work *targets.Work) { work.Slot = work.Slot.Add(-slotInterval) }), "INFO", "this one is left out"},
			"no role":     {strings.Replace(w.work(workerMember, "eu-west-1"), workerRole, "arn:aws:iam::999922223333:role/a", 1), "ERROR", "message dropped"},
			"bad setting": {w.work(workerHome, "eu-west-1", func(work *targets.Work) { work.Target.Settings = map[string]string{"REPOSITORIES_INCLUDE": "("} }), "ERROR", "message dropped"},
			"no JSON":     {"{", "ERROR", "message dropped"},
			"unknown":     {`{"source":"a","detail-type":"b","account":"111122223333","region":"eu-west-1","time":"2026-12-01T00:00:00Z","detail":{}}`, "ERROR", "message dropped"},
		} {
			lines := w.deliver(c.body, 0)
			if len(lines) != 1 || !has(lines, c.level, c.message) {
				t.Errorf("%s: logged %+v", name, lines)
			}
		}
		if calls, series := w.aws.Calls(), w.receiver.All(); len(calls) > 0 || len(series) > 0 || len(w.s3.objects) > 0 {
			t.Errorf("%v were called, %d series pushed, %d objects written", calls, len(series), len(w.s3.objects))
		}
		late := w.work(workerHome, "eu-west-1")
		time.Sleep(slotInterval - time.Second)
		if lines := w.deliver(late, 0); !has(lines, "INFO", "run done") {
			t.Errorf("a second before the next slot: %+v", lines)
		}
	})
}

// An event refreshes its repository alone. If it waited for an interval and the last whole push
// is as old, all is pushed too.
func TestWorkEvents(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		w.plan()
		home := ecrtest.NewRegistry(workerHome, "eu-west-1")
		event := func(of *ecrtest.Registry) string {
			return string(of.PushEvent("app", ecrtest.Digest(workerHome+"eu-west-1app"), "v1", time.Now()))
		}
		w.deliver(w.work(workerHome, "eu-west-1"), 0)
		exporter := w.f.many.exporter
		only := workerHome + "/eu-west-1 app"
		for _, c := range []struct {
			name       string
			pause, ago time.Duration // since the last whole push, and in the queue
			whole      bool
		}{
			{"at once", time.Minute, 0, false},
			{"the last push is old", 5 * time.Minute, time.Minute, false},
			{"both", 0, slotInterval, true},
			{"it waited", time.Minute, slotInterval, false},
			{"both, once more", time.Minute + time.Second, slotInterval, true},
		} {
			time.Sleep(c.pause)
			at := time.Now()
			lines := w.deliver(event(home), c.ago)
			got := w.pushed(imageFamily, at)
			if len(lines) != 1 || got[only] == 0 || (len(got) == 2) != c.whole || len(got) > 2 {
				t.Errorf("%s: pushed %v, want all: %v; %d lines", c.name, got, c.whole, len(lines))
			}
		}
		if w.f.many.exporter != exporter {
			t.Error("events and planned work have different exporters of a registry")
		}
		// It is not among TARGETS, or nothing is about any image.
		time.Sleep(slotInterval)
		before, at := w.aws.Calls(), time.Now()
		for _, body := range []string{
			event(ecrtest.NewRegistry(workerHome, "us-west-2")), event(ecrtest.NewRegistry("333333333333", "eu-west-1")),
			strings.Replace(event(home), "SUCCESS", "FAILURE", 1),
		} {
			if lines := w.deliver(body, slotInterval); len(lines) != 1 || !has(lines, "INFO", "event needs no run") {
				t.Errorf("logged %+v", lines)
			}
		}
		// Its group is not the registry, so that another message of it may be handled meanwhile.
		if lines := w.deliverTo("registry", event(home), 0); len(lines) != 1 || !has(lines, "INFO", "event needs no run") {
			t.Errorf("logged %+v", lines)
		}
		if lines := w.deliverTo("registry", w.work(workerHome, "eu-west-1"), 0); len(lines) != 1 || !has(lines, "ERROR", "message dropped") {
			t.Errorf("logged %+v", lines)
		}
		if _, err := w.f.handle(w.ctx, []byte(w.work(workerHome, "eu-west-1"))); err == nil {
			t.Error("work that does not come through the queue is accepted")
		}
		if calls := w.calls(before); len(calls) > 0 || len(w.pushed(imageFamily, at)) > 0 {
			t.Errorf("%v were called for nothing", calls)
		}
	})
}

// Registries that alternate in one environment keep their state, labels and settings apart. The
// protocol is found out once, and only the inventory of the last one stays in memory.
func TestWorkAlternates(t *testing.T) {
	inWorkers(t, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}}, nil, func(w *workers) {
		near := func(work *targets.Work) {
			work.Target.Labels, work.Target.Settings = map[string]string{"env": "prod"}, map[string]string{"REPOSITORIES_EXCLUDE": "job"}
		}
		var before map[string]int
		for round := range 3 {
			if round == 1 {
				before = w.aws.Calls()
			}
			at := time.Now()
			for _, body := range []string{w.work(workerHome, "eu-west-1"), w.work(workerMember, "eu-west-1", near), w.work(workerMember, "us-east-1")} {
				if lines := w.deliver(body, 0); !has(lines, "INFO", "run done") {
					t.Errorf("round %d: %+v", round, lines)
				}
			}
			pushedAt := float64(time.Now().Truncate(time.Hour).Unix())
			want := map[string]float64{
				workerHome + "/eu-west-1 app": pushedAt, workerHome + "/eu-west-1 job": pushedAt, workerMember + "/eu-west-1 app": pushedAt,
				workerMember + "/us-east-1 app": pushedAt, workerMember + "/us-east-1 job": pushedAt,
			}
			if diff := cmp.Diff(want, w.pushed(imageFamily, at)); diff != "" {
				t.Errorf("round %d (-want +got):\n%s", round, diff)
			}
			if m := w.f.many; m.target.String() != workerMember+"/us-east-1" || m.exporter.Registry().ID != workerMember {
				t.Errorf("memory has %s", &m.target)
			}
			time.Sleep(slotInterval)
		}
		// All is known: the state was read again, and nothing from AWS.
		if calls := w.calls(before); len(calls) > 0 {
			t.Errorf("%v were called again", calls)
		}
		for _, series := range w.receiver.All() {
			if got, want := series.Labels["env"] == "prod", series.Labels["registry_id"]+series.Labels["region"] == workerMember+"eu-west-1"; got != want {
				t.Errorf("the label env of %s", series)
			}
		}
		refused := 0
		for _, request := range w.receiver.Requests() {
			if request.Protocol != remotewritetest.V1 {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d requests were of the other protocol, want 1", refused)
		}
		for _, of := range []string{workerHome + "/eu-west-1", workerMember + "/eu-west-1", workerMember + "/us-east-1"} {
			if w.s3.objects["stack/"+of+"/"+objectKey] == nil {
				t.Errorf("there is no state of %s: %v", of, maps.Keys(w.s3.objects))
			}
		}
		if len(w.receiver.Find("aws_ecr_repository_exporter_up")) > 0 {
			t.Error("a worker pushed what is the planner's")
		}
	})
}

// Memory has room for one inventory: that of the registry before is given up by the time that
// another one is loaded.
func TestWorkKeepsOneInventory(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		w.deliver(w.work(workerMember, "us-east-1"), 0)
		before := weak.Make(w.f.many.exporter.Registry())
		var first sync.Once
		requested := false
		w.request = func() { // of several goroutines
			first.Do(func() {
				requested = true
				runtime.GC()
				if before.Value() != nil {
					w.t.Error("the inventory of another registry is still in memory")
				}
			})
		}
		w.deliver(w.work(workerHome, "eu-west-1"), 0)
		if !requested {
			w.t.Error("no request: the test tests nothing")
		}
	})
}

// A list with a fault, in a new deployment, leaves the list of the last one in use.
func TestPlanKeepsAnEarlierList(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		w.plan()
		time.Sleep(time.Minute)
		w.restart("TARGETS=" + workerHome + ":eu-west-1," + workerHome + ":eu-west-1")
		response, err := w.f.handle(w.ctx, []byte("{}"))
		if summary, ok := response.(fleet.Summary); !ok || summary.Targets != 3 || summary.Valid || err != nil {
			w.t.Errorf("%+v, %v", response, err)
		}
	})
}
