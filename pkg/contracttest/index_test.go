package contracttest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The scan of an index is the sum of its children's.
func TestIndexScansAt(t *testing.T) {
	t.Parallel()
	done := func(after time.Duration, counts map[string]int32) *ecrtest.ScanState {
		return &ecrtest.ScanState{At: pushed, CompletedAt: pushed.Add(after).UTC(), Counts: counts}
	}
	status := func(word string) *ecrtest.ScanState { return &ecrtest.ScanState{At: pushed, Status: word} }
	never := (*ecrtest.ScanState)(nil)
	for name, test := range map[string]struct {
		children []*ecrtest.ScanState
		want     ecrtest.ScanState
	}{
		"the highest counts, the earliest completion": {
			[]*ecrtest.ScanState{done(2*time.Second, map[string]int32{"HIGH": 3, "LOW": 1}), done(time.Second, map[string]int32{"HIGH": 5, "MEDIUM": 2})},
			ecrtest.ScanState{Status: "COMPLETE", CompletedAt: pushed.Add(time.Second).UTC(), Counts: map[string]int32{"HIGH": 5, "LOW": 1, "MEDIUM": 2}},
		},
		"clean": {
			[]*ecrtest.ScanState{done(0, map[string]int32{})},
			ecrtest.ScanState{Status: "COMPLETE", CompletedAt: pushed.UTC()},
		},
		"unsupported ones are left out": {
			[]*ecrtest.ScanState{status("UNSUPPORTED_IMAGE"), done(0, map[string]int32{"LOW": 1})},
			ecrtest.ScanState{Status: "COMPLETE", CompletedAt: pushed.UTC(), Counts: map[string]int32{"LOW": 1}},
		},
		"all are unsupported": {
			[]*ecrtest.ScanState{status("UNSUPPORTED_IMAGE"), status("UNSUPPORTED_IMAGE")},
			ecrtest.ScanState{Status: "UNSUPPORTED_IMAGE"},
		},
		"one failed": {
			[]*ecrtest.ScanState{done(0, map[string]int32{"LOW": 1}), status("PENDING"), status("FAILED")},
			ecrtest.ScanState{Status: "FAILED", Counts: map[string]int32{"LOW": 1}},
		},
		"one was never scanned": {
			[]*ecrtest.ScanState{status("IN_PROGRESS"), never},
			ecrtest.ScanState{Status: "SCAN_NOT_FOUND"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := ecrtest.NewRegistry("123456789012", "eu-west-1")
			put := func(image ecrtest.Image, states ...ecrtest.ScanState) {
				t.Helper()
				if err := registry.PutImage("team/app", image); err != nil {
					t.Fatal(err)
				}
				if err := registry.SetScan("team/app", image.Digest, ecrtest.Scan{States: states}); err != nil {
					t.Fatal(err)
				}
			}
			if err := registry.PutRepository(ecrtest.Repository{Name: "team/app"}); err != nil {
				t.Fatal(err)
			}
			worse := ecrtest.ScanState{At: pushed, Status: "FAILED", Counts: map[string]int32{"CRITICAL": 9}}
			// The first child is that of an index within the index. An attestation, a child
			// that was deleted and one that was archived do not count.
			inner := ecrtest.Image{Digest: ecrtest.Digest("inner")}
			index := ecrtest.Image{Digest: ecrtest.Digest("index"), Tags: []string{"v1"}, Children: []ecrtest.Child{
				{Digest: inner.Digest},
				{Digest: ecrtest.Digest("deleted")},
				{Digest: ecrtest.Digest("archived")},
				ecrtest.Attestation(ecrtest.Digest("attestation"), ecrtest.Digest("0")),
			}}
			put(ecrtest.Image{Digest: ecrtest.Digest("archived"), Status: "ARCHIVED"}, worse)
			put(ecrtest.Image{Digest: ecrtest.Digest("attestation"), Attestation: true}, worse)
			for i, state := range test.children {
				child := ecrtest.Child{Digest: ecrtest.Digest(string(rune('0' + i))), Platform: "linux/amd64"}
				if state == never {
					put(ecrtest.Image{Digest: child.Digest})
				} else {
					put(ecrtest.Image{Digest: child.Digest}, *state)
				}
				if i == 0 {
					inner.Children = append(inner.Children, child)
				} else {
					index.Children = append(index.Children, child)
				}
			}
			put(inner)
			put(index, worse)
			scans := contracttest.IndexScansAt(registry, pushed.Add(time.Hour))
			got, known := scans("team/app", index)
			if diff := cmp.Diff(test.want, got); diff != "" || !known {
				t.Errorf("known %t, -want +got:\n%s", known, diff)
			}
			// Other images keep theirs.
			plain, _ := registry.Image("team/app", ecrtest.Digest("0"))
			own, _ := contracttest.ScansAt(registry, pushed.Add(time.Hour))("team/app", plain)
			if got, _ := scans("team/app", plain); !cmp.Equal(own, got) {
				t.Errorf("an image that is no index: %+v, want %+v", got, own)
			}
		})
	}
}
