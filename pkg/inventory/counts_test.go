package inventory_test

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	count := func(severity string, n int32) inventory.SeverityCount {
		return inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: n}
	}
	for _, list := range []inventory.Severities{
		nil,
		{count("HIGH", 0)},
		{count("CRITICAL", 1), count("HIGH", 127), count("LOW", 128), count("MEDIUM", 1<<20), count("UNTRIAGED", math.MaxInt32)},
		{count("ANY", -1), count("OTHER", math.MinInt32)},
	} {
		counts := inventory.CountsOf(list)
		if got := counts.List(); !slices.Equal(got, list) {
			t.Errorf("list %v, want %v", got, list)
		}
		for severity := range counts.All() {
			if severity != list[0] {
				t.Errorf("first count %v, want %v", severity, list[0])
			}
			break
		}
		want, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(counts); err != nil || !bytes.Equal(got, want) {
			t.Errorf("JSON %s, %v; want %s", got, err, want)
		}
	}
}

func TestSecond(t *testing.T) {
	t.Parallel()
	for of, want := range map[inventory.Time]inventory.Second{-1: 0, 0: 0, 999: 0, 1999: 1, math.MaxInt64: math.MaxUint32} {
		if got := inventory.SecondOf(of); got != want || got.Time() != inventory.Time(want)*1000 || got.IsZero() != (want == 0) {
			t.Errorf("second of %d: %d, want %d", of, got, want)
		}
	}
}

// A field more, or one in another place, can cost a large registry tens of megabytes.
func TestSizeOfRecords(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(inventory.Scan{}); n > 48 {
		t.Errorf("a scan has %d bytes, want at most 48, the next class of allocations has 64", n)
	}
	if n := unsafe.Sizeof(inventory.Image{}); n > 112 {
		t.Errorf("an image has %d bytes, want at most 112", n)
	}
}
