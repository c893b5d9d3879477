package exporter_test

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenRegistry has one of each kind that the contract speaks of.
func goldenRegistry(w *world) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 5e8, time.UTC)
	scanned := func(counts map[string]int32) *ecrtest.ScanSummary {
		return &ecrtest.ScanSummary{CompletedAt: at.Add(time.Minute), Counts: counts}
	}
	for _, repository := range []ecrtest.Repository{
		{Name: "plain", TagMutability: "MUTABLE", Encryption: &ecrtest.Encryption{Type: "AES256"}, ScanOnPush: aws.Bool(true)},
		{Name: "team/kms", TagMutability: "IMMUTABLE", Encryption: &ecrtest.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/1"}, ScanOnPush: aws.Bool(false)},
		{Name: "exclusion", TagMutability: "MUTABLE_WITH_EXCLUSION", ExclusionFilters: []string{"release-*"}, Encryption: &ecrtest.Encryption{Type: "KMS_DSSE"}, ScanOnPush: aws.Bool(false)},
		{Name: "bare"}, // scanning and encryption configuration left out
		{Name: "empty", TagMutability: "MUTABLE", Encryption: &ecrtest.Encryption{Type: "AES256"}, ScanOnPush: aws.Bool(false)},
	} {
		w.check(w.registry.PutRepository(repository))
	}
	image := func(tags ...string) ecrtest.Image {
		return ecrtest.Image{
			Digest: ecrtest.Digest(tags[0]), Tags: tags, SizeBytes: aws.Int64(91_320_109), PushedAt: at, Status: "ACTIVE",
			ManifestMediaType: "application/vnd.oci.image.manifest.v1+json",
		}
	}
	twoTags := image("two-tags", "another-tag")
	twoTags.Scan = scanned(map[string]int32{"CRITICAL": 1, "HIGH": 20, "UNTRIAGED": 3, "INFORMATIONAL": 0})
	untagged := image("untagged")
	untagged.Tags = nil
	noSize := image("missing-size")
	noSize.SizeBytes = nil
	noPush := image("missing-pushed-at")
	noPush.PushedAt = time.Time{}
	clean := image("clean-scan")
	clean.Scan = scanned(map[string]int32{})
	failed := image("failed-scan")
	failed.ScanStatus = &ecrtest.ScanStatus{Status: "FAILED"}
	index := image("index")
	index.ManifestMediaType = "application/vnd.oci.image.index.v1+json"
	archived, activating := image("archived"), image("activating")
	archived.Status, activating.Status = "ARCHIVED", "ACTIVATING"
	w.put("plain", twoTags, untagged, noSize, noPush, image("missing-scan"), clean, failed, index, archived, activating)

	older, newer := image("v1", "latest"), image("v2", "latest")
	newer.PushedAt = at.Add(time.Hour)
	w.put("team/kms", older, newer)
	w.put("exclusion", image("release-1"))
	w.put("bare", image("v1"))
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/exposition.txt"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, shaped(func(s *inventory.Shape) { s.Families = inventory.Filter{} }))
		goldenRegistry(w)
		var got bytes.Buffer
		summary, err := w.exporter.Print(t.Context(), &got)
		w.check(err)
		if lines := bytes.Count(got.Bytes(), []byte("\naws_ecr_")); summary.Series != lines {
			t.Errorf("%d series in %d lines", summary.Series, lines)
		}
		if *update {
			w.check(os.WriteFile(file, got.Bytes(), 0o600))
		}
		want, err := os.ReadFile(file)
		w.check(err)
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("exposition (-want +got); -update writes it anew:\n%s", diff)
		}
	})
}
