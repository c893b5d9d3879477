package remotewrite

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// variety is a registry made from random bytes. Texts come from short lists, so that
// subjects have some in common, and what is in another place may be the same.
func variety(random []byte) *inventory.Registry {
	next := func(n int) int {
		if len(random) == 0 {
			return 0
		}
		b := random[0]
		random = random[1:]
		return int(b) % n
	}
	pick := func(words ...string) string { return words[next(len(words))] }
	r := &inventory.Registry{ID: pick("", "1", "222222222222"), ListedAt: inventory.Time(next(2)), ScanSource: inventory.ScansFromFindings}
	for i := range 1 + next(4) {
		repository := &inventory.Repository{
			Name: fmt.Sprint(pick("a", "b/c", "\xff"), i), URI: pick("u/", "", "longer.than.that/"), RegistryID: pick("1", "2", ""),
			EncryptionType: pick("", "AES256"), Unsent: next(2) == 1, Hidden: next(8) == 1,
		}
		for k := range next(5) {
			image := inventory.Image{Digest: inventory.Digest{byte(i), byte(k)}, SizeBytes: int64(next(3)) - 1, PushedAt: inventory.Time(next(3)), Hidden: next(8) == 1}
			for t := range next(4) {
				image.Tags = append(image.Tags, fmt.Sprint(pick("v", "", "ü", "\xff"), t))
			}
			if next(2) == 1 {
				image.Scan = &inventory.Scan{Status: pick("", "COMPLETE"), CompletedAt: inventory.Time(next(2))}
				for s := range next(4) {
					image.Scan.Severities = append(image.Scan.Severities, inventory.SeverityCount{Severity: fmt.Sprint("S", s), Count: int32(next(3))})
				}
			}
			repository.Images = append(repository.Images, image)
		}
		r.Repositories = append(r.Repositories, repository)
	}
	if next(2) == 1 {
		r.Ended, r.Repositories = r.Repositories[:1], r.Repositories[1:]
	}
	return r
}

// several are the series of a push of several walks, of which some series are seen
// twice. Of every seventh the subject is kept secret.
func several(r *inventory.Registry, external []metrics.Label) iter.Seq[metrics.Series] {
	families := metrics.Families()
	return func(yield func(metrics.Series) bool) {
		n := 0
		for _, walk := range []iter.Seq[metrics.Series]{
			metrics.ByRepository(r, families, metrics.Options{External: external}),
			metrics.Ended(r, families, metrics.Options{External: external}),
			metrics.ByRepository(r, families, metrics.Options{External: append([]metrics.Label{{Name: "zone", Value: "b"}}, external...), RepositoriesOnly: true}),
			metrics.ByRepository(r, families, metrics.Options{External: []metrics.Label{{Name: "name", Value: "x"}}}),
			metrics.All(r, families, metrics.Options{}),
		} {
			for s := range walk {
				if n++; n%7 == 0 {
					s.Subject = 0
				}
				if !yield(s) {
					return
				}
			}
		}
	}
}

// outcomesOf is what rules and messages make of series: the faults, and the bytes
// of each message.
func outcomesOf(t testing.TB, p protocol, series iter.Seq[metrics.Series], limit, maxSeries int) (faults []fault, messages [][]byte) {
	t.Helper()
	var r rules
	m := p.newMessage()
	for range 2 { // memory is used again, with what it remembers
		faults, messages = nil, nil
		r.begin()
		m.reset(at.UnixMilli())
		n := 0
		next := func() {
			if n > 0 {
				messages = append(messages, bytes.Clone(m.bytes()))
			}
			m.reset(at.UnixMilli())
			n = 0
		}
		for s := range series {
			labels, f := r.check(s)
			faults = append(faults, f)
			if f.reason != "" {
				continue
			}
			if n == maxSeries {
				next()
			}
			if !m.add(labels, s, limit) {
				next()
				if !m.add(labels, s, limit) {
					faults[len(faults)-1] = fault{SeriesTooLarge, "", limit}
					continue
				}
			}
			n++
		}
		next()
	}
	return faults, messages
}

// checkMemo: what iterators tell of their memory changes the speed only.
func checkMemo(t testing.TB, series iter.Seq[metrics.Series], limit, maxSeries int) {
	t.Helper()
	var plain []metrics.Series
	for s := range series {
		plain = append(plain, s.Clone())
	}
	for _, s := range plain {
		if s.Subject != 0 {
			t.Fatal("a copy has a subject")
		}
	}
	wantFaults, want := outcomesOf(t, v1{}, slices.Values(plain), limit, maxSeries)
	gotFaults, got := outcomesOf(t, v1{}, series, limit, maxSeries)
	if !slices.Equal(wantFaults, gotFaults) {
		t.Errorf("faults %+v, want %+v", gotFaults, wantFaults)
	}
	// A diff of so much takes minutes, and says little.
	if !slices.EqualFunc(want, got, bytes.Equal) {
		t.Errorf("messages of 1.0:\n%x\nwant\n%x", got, want)
	}

	// In 2.0 the symbols may be in another order, and so batches of another length.
	var sent []metrics.Series
	faults, messages := outcomesOf(t, v2{}, series, limit, maxSeries)
	for i, f := range faults {
		if f.reason == "" {
			s := plain[i]
			s.Labels = slices.DeleteFunc(slices.Clone(s.Labels), func(l metrics.Label) bool { return l.Value == "" })
			sent = append(sent, s)
		} else if f != wantFaults[i] && f.reason != SeriesTooLarge && wantFaults[i].reason != SeriesTooLarge {
			t.Errorf("series %d: fault %+v, want %+v", i, f, wantFaults[i])
		}
	}
	var decoded []resolved
	for _, raw := range messages {
		if len(raw) > limit {
			t.Errorf("%d bytes, limit %d", len(raw), limit)
		}
		decoded = append(decoded, resolve(t, raw)...)
	}
	expected := asResolved(at.UnixMilli(), sent)
	if len(decoded) != len(expected) {
		t.Fatalf("%d series of 2.0, want %d", len(decoded), len(expected))
	}
	for i := range expected {
		if !reflect.DeepEqual(decoded[i], expected[i]) {
			t.Fatalf("series %d of 2.0: %+v, want %+v", i, decoded[i], expected[i])
		}
	}
}

func TestMemo(t *testing.T) {
	t.Parallel()
	for _, external := range [][]metrics.Label{
		nil,
		{{Name: "Account", Value: "prod"}, {Name: "zone", Value: "a"}},
		{{Name: "not-valid", Value: "x"}},
		{{Name: "empty", Value: ""}},
	} {
		series := several(inventoryOf(20), external)
		for _, limits := range [][2]int{{math.MaxInt, math.MaxInt}, {3000, math.MaxInt}, {math.MaxInt, 7}, {400, 100}, {320, 100}, {280, 100}} {
			checkMemo(t, series, limits[0], limits[1])
		}
	}
}

// TestMemoFamilies: more families than are remembered.
func TestMemoFamilies(t *testing.T) {
	t.Parallel()
	checkMemo(t, func(yield func(metrics.Series) bool) {
		for i := range 3 * maxLayouts {
			f := &metrics.Family{Name: fmt.Sprint("f", i), Type: "gauge", Help: fmt.Sprint("help ", i)}
			s := metrics.Series{Family: f, Subject: 7<<32 + uint64(i/10), Labels: []metrics.Label{{Name: "__name__", Value: f.Name}, {Name: fmt.Sprint("l", i%5), Value: "x"}}}
			for range 2 { // the second is dropped
				if !yield(s) {
					return
				}
			}
		}
	}, math.MaxInt, math.MaxInt)
}

// TestMemoRefused: of a series that was too large for an empty message, nothing is
// remembered.
func TestMemoRefused(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0123456789", 13) // shorter series move, and are not remembered either
	labels := func(f *metrics.Family, rest ...metrics.Label) metrics.Series {
		return metrics.Series{Family: f, Subject: 7<<32 + 1, Labels: append([]metrics.Label{{Name: "__name__", Value: f.Name}, {Name: "digest", Value: digest}}, rest...)}
	}
	long := &metrics.Family{Name: "a_long_metric_name", Help: "h", Type: "gauge"}
	short := &metrics.Family{Name: "a", Help: "h", Type: "gauge"}
	another, third := &metrics.Family{Name: "bc", Help: "h", Type: "gauge"}, &metrics.Family{Name: "d", Help: "h", Type: "gauge"}
	checkMemo(t, slices.Values([]metrics.Series{
		labels(long, metrics.Label{Name: "severity", Value: strings.Repeat("x", 1000)}), labels(short), labels(another), labels(third),
		// Two that break the promise of their walk.
		labels(long), labels(short, metrics.Label{Name: "tag", Value: "t"}),
	}), 900, math.MaxInt)
}

func FuzzMemo(f *testing.F) {
	f.Add([]byte("a registry of random repositories, images, tags and scans, and many more"), uint16(2000), uint8(5))
	f.Add(bytes.Repeat([]byte{3, 1, 2}, 200), uint16(500), uint8(50))
	f.Add(bytes.Repeat([]byte{1, 3, 2, 7, 5}, 100), uint16(65535), uint8(255))
	f.Fuzz(func(t *testing.T, random []byte, limit uint16, maxSeries uint8) {
		checkMemo(t, several(variety(random), []metrics.Label{{Name: "zone", Value: "a"}}), int(limit), 1+int(maxSeries))
	})
}
