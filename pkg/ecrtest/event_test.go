package ecrtest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

var update = flag.Bool("update", false, "write the samples in events/ anew")

// The samples in events/ are what the simulator renders: the one place where the form of
// events is written down.
func TestEventSamples(t *testing.T) {
	t.Parallel()
	at := func(hour, minute, second int) time.Time {
		return time.Date(2026, 11, 20, hour, minute, second, 0, time.UTC)
	}
	reg := ecrtest.NewRegistry(account, "eu-central-1")
	for _, name := range []string{"docker-hub/library/alpine", "payments/api", "payments/worker", "platform/base"} {
		putRepository(t, reg, ecrtest.Repository{Name: name})
	}
	image := func(repository, tag string) string {
		return putImage(t, reg, repository, ecrtest.Image{
			Digest: ecrtest.Digest(repository + ":" + tag), Tags: []string{tag, "latest"}, PushedAt: at(9, 14, 33), Status: "ACTIVE",
			ManifestMediaType: "application/vnd.oci.image.manifest.v1+json",
			ArtifactMediaType: "application/vnd.oci.image.config.v1+json",
		})
	}
	fail := func(text json.RawMessage, err error) json.RawMessage {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	pushed := image("payments/api", "1.4.12")
	setScan(t, reg, "payments/api", pushed, ecrtest.ScanState{
		At: at(9, 15, 2), CompletedAt: at(9, 14, 58), Counts: map[string]int32{"CRITICAL": 1, "HIGH": 4, "MEDIUM": 11, "LOW": 23, "INFORMATIONAL": 0},
	})
	alpine := image("docker-hub/library/alpine", "3.22.2")
	base := image("platform/base", "2026.10")
	if err := reg.Archive("platform/base", base, at(3, 0, 11)); err != nil {
		t.Fatal(err)
	}
	samples := map[string]json.RawMessage{
		"image-push.json":                 reg.PushEvent("payments/api", pushed, "1.4.12", at(9, 14, 33)),
		"image-delete.json":               reg.DeleteEvent("payments/api", ecrtest.Digest("payments/api:1.2.0"), "1.2.0", at(9, 20, 0)),
		"image-update-storage-class.json": fail(reg.StorageClassEvent("platform/base", base, at(3, 0, 12))),
		"image-scan.json":                 fail(reg.ScanEvent("payments/api", pushed, at(9, 15, 2))),
		"replication.json":                reg.ReplicationEvent("payments/api", pushed, "1.4.12", ecrtest.NewRegistry(account, "us-west-2"), at(9, 14, 51)),
		"pull-through-cache.json":         reg.PullThroughCacheEvent("docker-hub/library/alpine", alpine, "3.22.2", "registry-1.docker.io", at(10, 2, 7)),
	}
	before := ecrtest.Scanning{Type: "ENHANCED", Rules: []ecrtest.ScanningRule{{Frequency: "SCAN_ON_PUSH", Filters: []string{"platform/*"}}}}
	setScanning(t, reg, ecrtest.Scanning{Type: "ENHANCED", Rules: []ecrtest.ScanningRule{
		{Frequency: "CONTINUOUS_SCAN", Filters: []string{"pay*"}}, {Frequency: "SCAN_ON_PUSH", Filters: []string{"*"}},
	}})
	samples["scan-resource-change.json"] = reg.ScanResourceChangeEvent(before, at(8, 30, 0))
	samples["inspector2-scan.json"] = fail(reg.ScanEvent("payments/api", pushed, at(9, 15, 4)))

	for name, text := range samples {
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		indented.WriteByte('\n')
		path := filepath.Join("..", "..", "events", name)
		if *update {
			if err := os.WriteFile(path, indented.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), indented.String()); diff != "" {
			t.Errorf("%s, to be written anew with -update:\n%s", name, diff)
		}
	}
}

// What events leave out, and what they cannot be of.
func TestEventDetails(t *testing.T) {
	t.Parallel()
	reg := ecrtest.NewRegistry(account, region)
	putRepository(t, reg, ecrtest.Repository{Name: "app"})
	digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x")})
	detail := func(text json.RawMessage, err error) (all map[string]any, kind string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Type   string         `json:"detail-type"`
			Detail map[string]any `json:"detail"`
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		return e.Detail, e.Type
	}
	if _, err := reg.ScanEvent("app", digest, now); err == nil {
		t.Error("event of a scan that never was: no error")
	}
	setScan(t, reg, "app", digest,
		ecrtest.ScanState{At: now.Add(-2), CompletedAt: now},
		ecrtest.ScanState{At: now, CompletedAt: now, Counts: map[string]int32{}},
		ecrtest.ScanState{At: now.Add(time.Hour), Counts: map[string]int32{"LOW": 2, "HIGH": 0, "UNTRIAGED": 3}})
	if _, err := reg.ScanEvent("app", digest, now.Add(-1)); err == nil {
		t.Error("event of a scan without counts: no error")
	}
	for _, tc := range []struct {
		scanning string
		at       time.Time
		want     map[string]any
	}{
		{"BASIC", now, map[string]any{}},
		{"BASIC", now.Add(time.Hour), map[string]any{"LOW": 2.0, "UNTRIAGED": 3.0}},
		{"ENHANCED", now, map[string]any{"TOTAL": 0.0}},
		{"ENHANCED", now.Add(time.Hour), map[string]any{"TOTAL": 5.0}},
	} {
		setScanning(t, reg, ecrtest.Scanning{Type: tc.scanning})
		got, _ := detail(reg.ScanEvent("app", digest, tc.at))
		if diff := cmp.Diff(tc.want, got["finding-severity-counts"]); diff != "" {
			t.Errorf("%s:\n%s", tc.scanning, diff)
		}
		if diff := cmp.Diff([]any{}, got["image-tags"]); diff != "" {
			t.Errorf("%s: tags:\n%s", tc.scanning, diff)
		}
	}
	if got, _ := detail(reg.PushEvent("app", digest, "", now), nil); got["image-tag"] != nil {
		t.Errorf("a push without a tag: %v", got)
	}
	first, again, later := reg.PushEvent("app", digest, "v1", now), reg.PushEvent("app", digest, "v1", now), reg.PushEvent("app", digest, "v1", now.Add(1))
	if !bytes.Equal(first, again) || bytes.Equal(first, later) {
		t.Errorf("the same event twice:\n%s\n%s\nand another:\n%s", first, again, later)
	}
	if _, err := reg.StorageClassEvent("app", "v1", now); err == nil {
		t.Error("storage class of nothing: no error")
	}
	if err := reg.Restore("app", digest, now); err != nil {
		t.Fatal(err)
	}
	if got, kind := detail(reg.StorageClassEvent("app", digest, now)); got["target-storage-class"] != "STANDARD" ||
		got["last-activated-at"] != "2026-11-20T12:00:00Z" || kind != "ECR Image Action" {
		t.Errorf("restored: %s %v", kind, got)
	}
	signature := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("signature"), SubjectDigest: digest, Status: "ARCHIVED"})
	if got, kind := detail(reg.StorageClassEvent("app", signature, now)); got["target-storage-class"] != "ARCHIVE" || kind != "ECR Referrer Action" {
		t.Errorf("archived referrer: %s %v", kind, got)
	}
	if got, _ := detail(reg.ScanResourceChangeEvent(reg.Scanning(), now), nil); !strings.Contains(got["action-type"].(string), "CHANGE") || len(got["repositories"].([]any)) != 0 {
		t.Errorf("no change: %v", got)
	}
}
