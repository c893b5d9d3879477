package main

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// delay is what is promised not to take long.
type delay string

const (
	delayPush       delay = "push → visible"                // also of a tag, and of what is restored
	delayScan       delay = "first scan → visible"          // of an image
	delayRescan     delay = "later scan → visible"          // also one from before the image had the tag
	delayDelete     delay = "delete → gone"                 // also of a tag, and of what is archived
	delayRepository delay = "repository deleted → gone"     // of which ECR sends no event
	delayListing    delay = "age of the oldest record"      // in each push of everything
	delayAnswer     delay = "age of the oldest scan result" // the same
)

// delays are all of them in the order of the table.
var delays = []delay{delayPush, delayScan, delayRescan, delayDelete, delayRepository, delayListing, delayAnswer}

// changeOf is the value of the label change of the exported lag.
var changeOf = map[delay]string{delayPush: "push", delayScan: "scan", delayRescan: "scan", delayDelete: "delete", delayRepository: "delete"}

// ofRecord stands for the age of the oldest record beside these.
const ofRecord = "record"

// watch measures how long changes of the registry take to be at the receiver. It sees the
// registry and the receiver only, and beside that what the function exports about itself.
// Nothing is measured while it is nil.
type watch struct {
	s        *simulation
	expected map[string]float64 // series of the registry
	waiting  map[string]awaited // what the receiver is yet to get, by series
	measured map[delay][]time.Duration
	runs     map[int]*watched // what invocations showed, by number
	listedAt time.Time        // begin of the invocation that listed the repositories
	// recovered is when the last fault ended; time before does not count.
	recovered time.Time
}

// awaited is a series that the registry has or, if it is gone, no longer has, since a moment.
type awaited struct {
	delay delay
	since time.Time
	gone  bool
	value float64
	// told is set if the registry has the time: of the push of an image, or of a scan. Or the
	// image is gone, and not only a tag of it.
	told bool
}

// watched is the longest delay of each kind that an invocation ended, in seconds. Of a scan that
// was completed before the image had a tag, at most so much is exported.
type watched struct {
	measured, exported map[string]float64
	before             float64
}

func newWatch(s *simulation) *watch {
	return &watch{s: s, expected: s.expected(), waiting: map[string]awaited{}, measured: map[delay][]time.Duration{}, runs: map[int]*watched{}}
}

func (w *watch) run(inv *invocation) *watched {
	if w.runs[inv.n] == nil {
		w.runs[inv.n] = &watched{measured: map[string]float64{}, exported: map[string]float64{}}
	}
	return w.runs[inv.n]
}

// expect takes the series that the registry has from now on.
func (w *watch) expect(expected map[string]float64) {
	if w == nil {
		return
	}
	now := time.Now()
	for key, value := range expected {
		before, there := w.expected[key]
		if there && before == value {
			continue
		}
		a := awaited{since: now, value: value, told: now.Sub(time.Unix(int64(value), 0)) < time.Second}
		switch family, _, _ := strings.Cut(key, "{"); {
		case family == contracttest.ImagePushed:
			a.delay = delayPush
		case family != contracttest.ScanCompleted:
			continue
		case there || !a.told:
			a.delay, a.told = delayRescan, a.told && value-before >= 60 // else it counts as the same scan
		default:
			a.delay = delayScan
		}
		w.waiting[key] = a
	}
	for key := range w.expected {
		if _, there := expected[key]; there {
			continue
		}
		delete(w.waiting, key)
		t := w.s.tracks[key]
		if t == nil || t.stale() || t.family != contracttest.ImagePushed {
			continue
		}
		a := awaited{delay: delayDelete, since: now, gone: true}
		if _, exists := w.s.registry.Repository(t.repository); !exists {
			a.delay = delayRepository
		}
		_, exists := w.s.registry.Image(t.repository, t.digest)
		a.told = !exists
		w.waiting[key] = a
	}
	w.expected = expected
}

// stored takes a sample that the receiver has stored.
func (w *watch) stored(inv *invocation, t *track) {
	if w == nil {
		return
	}
	if t.family == "aws_ecr_exporter_scan_oldest_answer_age_seconds" {
		w.measured[delayAnswer] = append(w.measured[delayAnswer], time.Duration(t.value*float64(time.Second)))
	}
	a, waits := w.waiting[t.key]
	if !waits || a.gone != t.stale() || !a.gone && a.value != t.value {
		return
	}
	delete(w.waiting, t.key)
	late := min(time.Since(a.since), time.Since(w.recovered))
	w.measured[a.delay] = append(w.measured[a.delay], late)
	switch of, change := w.run(inv), changeOf[a.delay]; {
	case a.told:
		of.measured[change] = max(of.measured[change], late.Seconds())
	case a.delay == delayRescan:
		of.before = max(of.before, time.Since(time.Unix(int64(a.value), 0)).Seconds())
	}
}

// lists notes a request that lists the repositories.
func (w *watch) lists(req *request) {
	if w != nil && !bytes.Contains(req.body, []byte("repositoryNames")) {
		w.listedAt = w.s.invocation.start
	}
}

// exports takes a sample of a run metric.
func (w *watch) exports(inv *invocation, series remotewritetest.Series) {
	if w == nil {
		return
	}
	of, value := w.run(inv), series.Last().Value
	switch series.Labels["__name__"] {
	case "aws_ecr_exporter_lag_seconds":
		of.exported[series.Labels["change"]] = value
	case "aws_ecr_exporter_oldest_record_age_seconds":
		of.exported[ofRecord], of.measured[ofRecord] = value, inv.start.Sub(w.oldest()).Seconds()
		if w.s.calm {
			w.measured[delayListing] = append(w.measured[delayListing], inv.start.Sub(w.oldest()))
		}
	}
}

// oldest is when the repositories were listed, or longest ago the images of one of those that the
// receiver shows.
func (w *watch) oldest() time.Time {
	oldest := w.listedAt
	for _, t := range w.s.tracks {
		if l := w.s.listings[t.repository]; t.family == contracttest.Repository && !t.stale() && l.at.Before(oldest) {
			oldest = l.at
		}
	}
	return oldest
}

// quantile is the least of the sorted delays that a share of them does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
