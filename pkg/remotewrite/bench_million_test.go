package remotewrite

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/golang/snappy"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// BenchmarkMillion pushes a million series to a receiver on loopback that accepts
// everything and keeps nothing. MB/live is the most that is in use at once above the
// inventory, found by collecting garbage every 20,000 series of a push that is not
// timed; the limit is 32. MB/heap is the same with garbage, in the timed pushes: it
// grows with the inventory, since a collection starts when the heap has doubled.
// The receiver's memory is in both.
//
//	make bench BENCH=Million COUNT=1
func BenchmarkMillion(b *testing.B) {
	const limit = 32
	r := inventoryOf(160_000)
	server := httptest.NewServer(new(taker))
	defer server.Close()
	endpoint, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	for _, protocol := range []Protocol{V1, V2} {
		b.Run("proto="+string(protocol)+"/path=push", func(b *testing.B) {
			s, err := New(Options{URL: endpoint, Protocol: protocol})
			if err != nil {
				b.Fatal(err)
			}
			base := heap(true)
			// push returns the number of series and the most that the heap held.
			push := func(collect bool) (series int, peak float64) {
				got, err := s.Push(b.Context(), at, func(yield func(metrics.Series) bool) {
					n := 0
					for one := range pushed(r) {
						if n++; n%20_000 == 0 {
							peak = max(peak, (heap(collect)-base)/1e6)
						}
						if !yield(one) {
							return
						}
					}
				}, nil)
				if err != nil || got.Accepted < 1_000_000 || got.Accepted != got.Series {
					b.Fatalf("%+v, %v", got, err)
				}
				return got.Series, peak
			}
			_, live := push(true)
			if live > limit {
				b.Errorf("%.0f MB above the inventory, limit %d", live, limit)
			}
			var series int
			var withGarbage float64
			for b.Loop() {
				n, peak := push(false)
				series, withGarbage = n, max(withGarbage, peak)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series), "ns/series")
			b.ReportMetric(live, "MB/live")
			b.ReportMetric(withGarbage, "MB/heap")
			b.ReportMetric(float64(series), "series")
		})
	}
	runtime.KeepAlive(r)
}

// heap is the number of bytes on the heap, after a collection if collect is set.
func heap(collect bool) float64 {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// taker is a receiver that accepts everything and reports how many series that was.
// It reuses its memory, since the sender's is measured.
type taker struct {
	mu        sync.Mutex
	body, raw []byte
}

func (t *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	body := bytes.NewBuffer(t.body[:0])
	if _, err := body.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.body = body.Bytes()
	raw, err := snappy.Decode(t.raw[:cap(t.raw)], t.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.raw = raw
	if r.Header.Get("X-Prometheus-Remote-Write-Version") == wire.V2.Version() {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(records(t.raw, 5<<3|2)))
	}
	w.WriteHeader(http.StatusNoContent)
}

// records counts the records of a message that have a key.
func records(raw []byte, key byte) (n int) {
	for len(raw) > 0 {
		if raw[0] == key {
			n++
		}
		size, k := binary.Uvarint(raw[1:])
		raw = raw[1+k+int(size):]
	}
	return n
}
