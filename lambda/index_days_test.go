package main

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// indexWorld is a caseWorld whose function may read indexes.
type indexWorld struct{ *caseWorld }

func newIndexWorld(t *testing.T, settings ...string) indexWorld {
	w := indexWorld{newCaseWorld(t, settings...)}
	w.check(w.registry.SetPullTimeExclusions("arn:aws:iam::" + account + ":role/ecr-remote-write"))
	return w
}

// pushIndex pushes children without a tag, and the index of them, as docker buildx does. It
// returns the events.
func (w indexWorld) pushIndex(tag string, children ...string) (events []string) {
	w.Helper()
	var entries []ecrtest.Child
	for i, child := range children {
		digest := ecrtest.Digest("app" + child)
		w.check(w.registry.PutImage("app", ecrtest.Image{Digest: digest, SizeBytes: new(int64(7)), PushedAt: time.Now()}))
		entries = append(entries, ecrtest.Child{Digest: digest, Platform: []string{"linux/amd64", "linux/arm64"}[i]})
		events = append(events, string(w.registry.PushEvent("app", digest, "", time.Now())))
	}
	attestation := ecrtest.Digest("attestation of " + tag)
	w.check(w.registry.PutImage("app", ecrtest.Image{Digest: attestation, SizeBytes: new(int64(7)), PushedAt: time.Now()}))
	entries = append(entries, ecrtest.Attestation(attestation, entries[0].Digest))
	digest := ecrtest.Digest("app" + tag)
	w.check(w.registry.PutImage("app", ecrtest.Image{
		Digest: digest, Tags: []string{tag}, SizeBytes: new(int64(7)), PushedAt: time.Now(), ManifestMediaType: inventory.OCIIndex.String(), Children: entries,
	}))
	return append(events, string(w.registry.PushEvent("app", digest, tag, time.Now())))
}

// wantScans compares all series with the registry: those of indexes are what their children's
// scans add up to.
func (w indexWorld) wantScans() {
	w.Helper()
	got := map[string]float64{}
	for _, family := range []string{contracttest.ScanSeverity, contracttest.ScanCompleted, contracttest.ScanStatus} {
		for _, series := range w.receiver.Find(family) {
			if last := series.Last(); !math.IsNaN(last.Value) { // it has not ended
				got[fmt.Sprint(family, series.Labels["tag"], series.Labels["severity"], series.Labels["status"])] = last.Value
			}
		}
	}
	want := map[string]float64{}
	for s := range contracttest.Of(w.registry, contracttest.IndexScansAt(w.registry, time.Now())) {
		if slices.Contains([]string{contracttest.ScanSeverity, contracttest.ScanCompleted, contracttest.ScanStatus}, s.Family) {
			labels := map[string]string{}
			for _, label := range s.Labels {
				labels[label[0]] = label[1]
			}
			want[fmt.Sprint(s.Family, labels["tag"], labels["severity"], labels["status"])] = s.Value
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("scans (-want +got):\n%s", diff)
	}
}

// Days in which indexes and their children come and go, with events and, in the second row,
// without. The scans of an index's children are shown for its tag by the run after they are
// known, whatever happened to the index and to them since.
func TestIndexDays(t *testing.T) {
	isolate(t)
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("events lost: %t", lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newIndexWorld(t)
				settle := func(events ...string) {
					t.Helper()
					if lost {
						time.Sleep(25 * time.Hour) // every scan is read again
						w.run()
						w.run() // a new one without findings is read again after a minute
					} else {
						w.wantAcknowledged(events...)
					}
					w.wantClean()
				}
				deleted := func(name string) string {
					w.remove("app", name)
					return string(w.registry.DeleteEvent("app", ecrtest.Digest("app"+name), "", time.Now()))
				}
				settle(w.scan("app", "v1", 1), w.scan("app", "v2", 2))
				w.wantScans()

				settle(w.pushIndex("multi", "amd64", "arm64")...)
				settle(w.scan("app", "amd64", 3))
				if !lost {
					w.wantHigh("app", "multi", 3)
				}
				settle(w.scan("app", "arm64", 5))
				w.wantHigh("app", "multi", 5)
				w.wantScans()

				// Another index has one of the children, which then gets a tag too.
				settle(w.pushIndex("other", "amd64")...)
				w.wantHigh("app", "other", 3)
				w.check(w.registry.Tag("app", ecrtest.Digest("appamd64"), "single"))
				settle(string(w.registry.PushEvent("app", ecrtest.Digest("appamd64"), "single", time.Now())))
				w.wantHigh("app", "single", 3)
				w.wantScans()
				time.Sleep(time.Minute)
				settle(w.scan("app", "amd64", 9))
				w.wantScans()

				// A child is deleted under its index, then an index while its child stays.
				settle(deleted("arm64"))
				w.wantScans()
				settle(deleted("multi"))
				w.wantScans()

				// The tag moves to a new index, whose child is deleted with it.
				events := w.pushIndex("other2", "new")
				w.check(w.registry.Tag("app", ecrtest.Digest("appother2"), "other"))
				settle(append(events, w.scan("app", "new", 4))...)
				w.wantScans()
				settle(deleted("other2"), deleted("new"))
				w.wantScans()

				reads := w.aws.Calls()["BatchGetImage"]
				for range 3 {
					w.restart()
					w.runDue()
					w.wantScans()
				}
				if n := w.aws.Calls()["BatchGetImage"]; n != 3 || reads != 3 {
					t.Errorf("BatchGetImage was called %d times for 3 indexes, %d times before cold starts", n, reads)
				}
				for _, image := range w.registry.Images("app") {
					if !image.PulledAt.IsZero() {
						t.Errorf("%s was pulled at %v", image.Digest, image.PulledAt)
					}
				}
			})
		})
	}
}

// wantUntagged checks which digests have series of untagged images, with their number of HIGH
// findings, or -1 if these are not known.
func (w indexWorld) wantUntagged(want map[string]float64) {
	w.Helper()
	got := map[string]float64{}
	for digest := range w.live("aws_ecr_untagged_image_pushed_at_timestamp_seconds", "app", "digest") {
		got[digest] = -1
	}
	for digest, high := range w.live("aws_ecr_untagged_image_scan_severity_count", "app", "digest") {
		got[digest] = high
	}
	byDigest := map[string]float64{}
	for name, high := range want {
		byDigest[ecrtest.Digest("app"+name)] = high
	}
	if diff := cmp.Diff(byDigest, got, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("untagged images (-want +got):\n%s", diff)
	}
}

// A digest whose tag moved has its findings by digest from the same run on; children,
// attestations and signatures have none.
func TestUntaggedDays(t *testing.T) {
	isolate(t)
	synctest.Test(t, func(t *testing.T) {
		w := newIndexWorld(t)
		move := func(tag, to string) {
			t.Helper()
			w.check(w.registry.Tag("app", ecrtest.Digest("app"+to), tag))
		}
		w.wantAcknowledged(append(w.pushIndex("multi", "amd64", "arm64"), w.scan("app", "v1", 1), w.scan("app", "v2", 2))...)
		time.Sleep(2 * time.Second)
		w.wantAcknowledged(w.scan("app", "amd64", 3), w.scan("app", "arm64", 4))
		w.wantUntagged(nil)
		w.wantHigh("app", "multi", 4)

		time.Sleep(time.Minute)
		events := w.pushIndex("next", "new")
		move("multi", "next")
		w.wantAcknowledged(events...)
		w.wantUntagged(map[string]float64{"multi": 4})

		// An image that is pushed by digest only, and a signature of it.
		time.Sleep(time.Minute)
		digest := ecrtest.Digest("appplain")
		w.check(w.registry.PutImage("app", ecrtest.Image{Digest: digest, PushedAt: time.Now()}))
		w.check(w.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("signature"), PushedAt: time.Now(), SubjectDigest: digest}))
		w.wantAcknowledged(string(w.registry.PushEvent("app", digest, "", time.Now())))
		w.wantUntagged(map[string]float64{"multi": 4, "plain": -1})
		time.Sleep(time.Minute)
		w.wantAcknowledged(w.scan("app", "plain", 7))
		w.wantUntagged(map[string]float64{"multi": 4, "plain": 7})

		// While an index cannot be read, it is not known what is a child.
		w.aws.Fail(ecrtest.Match{Operation: "BatchGetImage"}, ecrtest.Always, ecrtest.Fault{Status: 400, Code: "InvalidParameterException"})
		events = w.pushIndex("third", "third-amd64")
		w.messages(events...)
		w.wantUntagged(nil)
		w.calm()
		time.Sleep(10 * time.Minute)
		w.run()
		w.wantUntagged(map[string]float64{"multi": 4, "plain": 7})

		// The tag moves back, the other image is deleted, and a setting turns them off.
		move("multi", "multi")
		w.remove("app", "plain")
		w.wantAcknowledged(string(w.registry.PushEvent("app", ecrtest.Digest("appmulti"), "multi", time.Now())))
		w.wantUntagged(nil)
		w.wantHigh("app", "multi", 4)
		move("multi", "next")
		w.runDue()
		w.wantUntagged(map[string]float64{"multi": 4})
		w.restart("UNTAGGED_IMAGES_PER_REPOSITORY=0")
		w.run()
		w.wantUntagged(nil)

		// After 30 days without a push or pull it is not shown.
		w.restart()
		w.run()
		w.wantUntagged(map[string]float64{"multi": 4})
		time.Sleep(30 * 24 * time.Hour)
		w.run()
		w.wantUntagged(nil)
	})
}
