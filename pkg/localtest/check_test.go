//go:build unix

package localtest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestExpect checks the sums; which series there are is tested in contracttest.
func TestExpect(t *testing.T) {
	t.Parallel()
	registry := ecrtest.NewRegistry(Account, Region)
	if err := registry.PutRepository(ecrtest.Repository{Name: "team/app"}); err != nil {
		t.Fatal(err)
	}
	for n, name := range []string{"a", "b"} {
		image := ecrtest.Image{Digest: ecrtest.Digest(name), Tags: []string{name}, SizeBytes: new(100 + int64(n))}
		if err := registry.PutImage("team/app", image); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	scan := ecrtest.ScanState{At: now, Counts: map[string]int32{"LOW": 4, "HIGH": 3}}
	if err := registry.SetScan("team/app", ecrtest.Digest("b"), ecrtest.Scan{States: []ecrtest.ScanState{scan}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]Total{
		contracttest.Up:           {1, 1},
		contracttest.Repositories: {1, 1},
		contracttest.Repository:   {1, 1},
		contracttest.ImageSize:    {2, 201},
		contracttest.ScanSeverity: {2, 7},
		contracttest.ScanStatus:   {2, 2},
		scansPending:              {1, 3},
		oldestScanAge:             {1, 0},
	}
	if diff := cmp.Diff(want, Expect(registry, now, 3)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	simple := map[string]Total{"a": {2, 10}, "b": {1, 1}}
	// While scan results are pending, some may be missing, but none may be too many.
	scans := func(pending float64) map[string]Total {
		return map[string]Total{
			contracttest.ScanSeverity: {4, 14}, contracttest.ScanCompleted: {3, 30}, contracttest.ScanStatus: {5, 5},
			scansPending: {1, pending}, oldestScanAge: {1, 0},
		}
	}
	part := map[string]Total{contracttest.ScanSeverity: {2, 7}, contracttest.ScanStatus: {2, 2}, scansPending: {1, 3}, oldestScanAge: {1, 12.5}}
	with := func(severities Total) map[string]Total {
		more := maps.Clone(part)
		more[contracttest.ScanSeverity] = severities
		return more
	}
	tests := []struct {
		name      string
		want, got map[string]Total
		accepted  int
		errs      []string
	}{
		{"equal", simple, simple, 3, nil},
		{"a series is missing", simple, map[string]Total{"a": {1, 9}, "b": {1, 1}}, 3, []string{
			"a: the store has 1 series with the sum 9, the registry 2 with 10", "the store has 2 series, the Summary reports 3",
		}},
		{"a value differs", simple, map[string]Total{"a": {2, 11}, "b": {1, 1}}, 3, []string{"a: the store has 2 series with the sum 11"}},
		{"a family is missing", simple, map[string]Total{"a": {2, 10}}, 3, []string{"b: the store has 0 series with the sum 0, the registry 1 with 1"}},
		{"a family beyond the contract", simple, map[string]Total{"a": {2, 10}, "b": {1, 1}, "c": {1, 5}}, 4, nil},
		{"more than was accepted", simple, simple, 2, []string{"the store has 3 series, the Summary reports 2"}},
		{"nothing", simple, nil, 3, []string{"a: the store has 0", "b: the store has 0", "the store has 0 series"}},
		{"scans pending", scans(3), part, 6, nil},
		{"scans missing", scans(0), part, 6, []string{contracttest.ScanSeverity}},
		{"another number of pending scans", scans(2), part, 6, []string{scansPending}},
		{"too many series of scans", scans(3), with(Total{5, 7}), 9, []string{contracttest.ScanSeverity}},
		{"too many findings", scans(3), with(Total{2, 15}), 6, []string{contracttest.ScanSeverity}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := Compare(test.want, test.got, test.accepted)
			if (err != nil) != (test.errs != nil) {
				t.Fatalf("error: %v", err)
			}
			for _, want := range test.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}
