package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// A role that cannot be assumed: nothing but STS is called, what is known is still pushed, one
// line says so, and it is tried again less and less often.
func TestWorkWithoutRole(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		name := workerMember + "/us-east-1"
		run := func() (lines []line, calls map[string]int, up float64, images int) {
			before, at := w.aws.Calls(), time.Now()
			lines = w.deliver(w.work(workerMember, "us-east-1"), 0)
			return lines, w.calls(before), w.pushed("aws_ecr_exporter_target_up", at)[name+" "], len(w.pushed(imageFamily, at))
		}
		if _, _, up, images := run(); up != 1 || images != 2 {
			t.Fatalf("with the role: up is %v, %d images", up, images)
		}
		w.aws.DeleteRole(workerMember, organisationMember)
		w.f.many.roles = roles{own: w.f.many.aws} // as of another environment
		w.f.many.exporter = nil
		lost := time.Now().Add(slotInterval)
		var tried []time.Duration
		for time.Since(lost) < 2*time.Hour {
			time.Sleep(slotInterval)
			lines, calls, up, images := run()
			if up != 0 || images != 2 {
				t.Errorf("%s: up is %v, %d images", time.Since(lost), up, images)
			}
			asked, level := calls["AssumeRole"] > 0, "INFO"
			if asked {
				tried, level = append(tried, time.Since(lost)), "ERROR"
			}
			delete(calls, "AssumeRole")
			if len(calls) > 0 || len(lines) != 1 || lines[0].Level != level {
				t.Errorf("%s: %v were called, logged %+v", time.Since(lost), calls, lines)
			}
			if asked && !strings.Contains(string(lines[0].Summary), "assuming the role of the registry") {
				t.Errorf("the line does not say why: %s", lines[0].Summary)
			}
		}
		want := []time.Duration{0, 2 * time.Minute, 6 * time.Minute, 14 * time.Minute, 30 * time.Minute, 60 * time.Minute, 90 * time.Minute, 120 * time.Minute}
		if diff := cmp.Diff(want, tried); diff != "" {
			t.Errorf("tried (-want +got):\n%s", diff)
		}
		// Another registry is not delayed, and this one recovers.
		w.aws.PutRole(workerMember, ecrtest.Role{Name: organisationMember})
		for range 14 {
			time.Sleep(slotInterval)
			if _, calls, up, _ := run(); up != 0 || len(calls) > 0 {
				t.Errorf("%s: up is %v, %v were called", time.Since(lost), up, calls)
			}
		}
		time.Sleep(slotInterval)
		if lines, calls, up, images := run(); up != 1 || images != 2 || calls["AssumeRole"] != 1 || calls["DescribeRepositories"] == 0 || !has(lines, "INFO", "run done") {
			t.Errorf("with the role again: up is %v, %d images, %v were called", up, images, calls)
		}
		// After a success the waits begin anew, once the session has expired.
		w.aws.DeleteRole(workerMember, organisationMember)
		asked := 0
		for range 40 {
			time.Sleep(slotInterval)
			before := w.aws.Calls()
			run()
			again := w.calls(before)["AssumeRole"] > 0
			if asked == 1 && !again {
				t.Error("after a success the first wait is not the shortest")
			}
			if again {
				if asked++; asked == 2 {
					break
				}
			}
		}
		if asked != 2 {
			t.Errorf("the role was tried %d times in 80 minutes", asked)
		}
	})
}

// A role that was deleted and made again: AWS refuses the session that is known, and the next run
// has a new one.
func TestWorkWithNewRole(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, []string{"CACHE_REFRESH_INTERVAL=1m"}, func(w *workers) {
		for _, c := range []struct {
			name  string
			again bool
			up    float64
		}{{"first", false, 1}, {"with the old session", true, 0}, {"with a new one", false, 1}, {"with the same", false, 1}} {
			if c.again {
				w.aws.DeleteRole(workerMember, organisationMember)
				w.aws.PutRole(workerMember, ecrtest.Role{Name: organisationMember})
			}
			before, at := w.aws.Calls(), time.Now()
			w.deliver(w.work(workerMember, "us-east-1"), 0)
			up, assumed := w.pushed("aws_ecr_exporter_target_up", at)[workerMember+"/us-east-1 "], w.calls(before)["AssumeRole"]
			if want := map[string]int{"first": 1, "with a new one": 1}[c.name]; up != c.up || assumed != want {
				w.t.Errorf("%s: up is %v, want %v; assumed %d times, want %d", c.name, up, c.up, assumed, want)
			}
			time.Sleep(slotInterval)
		}
	})
}

// An outage of STS is no missing role: it is tried again after two slots at the latest.
func TestWorkWithoutSTS(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, nil, func(w *workers) {
		const attempts = 3 // of the SDK
		w.aws.Server(workerHome, "eu-west-1").Fail(ecrtest.Match{Operation: "AssumeRole"}, 5*attempts, ecrtest.FaultServer)
		began := time.Now()
		var tried []time.Duration
		for range 15 {
			before, at := w.aws.Calls(), time.Now()
			w.deliver(w.work(workerMember, "us-east-1"), 0)
			if w.calls(before)["AssumeRole"] > 0 {
				tried = append(tried, at.Sub(began))
			}
			if w.pushed("aws_ecr_exporter_target_up", at)[workerMember+"/us-east-1 "] == 1 {
				break
			}
			time.Sleep(time.Until(at.Add(slotInterval)))
		}
		want := []time.Duration{0, 2 * time.Minute, 6 * time.Minute, 10 * time.Minute, 14 * time.Minute, 18 * time.Minute}
		if diff := cmp.Diff(want, tried); diff != "" {
			w.t.Errorf("tried (-want +got):\n%s", diff)
		}
	})
}
