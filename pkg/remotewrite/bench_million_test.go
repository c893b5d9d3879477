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
)

// BenchmarkMillion pushes a million series or more to a receiver on loopback that
// takes everything and keeps nothing. MB/heap is the most that the heap came to hold above the
// inventory, garbage and the receiver's own memory included; the issue allows 64.
//
//	make bench BENCH=Million COUNT=1
func BenchmarkMillion(b *testing.B) {
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
			var peak uint64
			var report metrics.Push
			for b.Loop() {
				series := func(yield func(metrics.Series) bool) {
					n := 0
					for s := range pushed(r) {
						if n++; n%10_000 == 0 {
							peak = max(peak, heap(false))
						}
						if !yield(s) {
							return
						}
					}
				}
				if report, err = s.Push(b.Context(), at, series, nil); err != nil {
					b.Fatal(err)
				}
			}
			if report.Accepted < 1_000_000 || report.Accepted != report.Series {
				b.Errorf("%+v", report)
			}
			above := float64(max(peak, base)-base) / 1e6
			if above > 64 {
				b.Errorf("%.0f MB above the inventory", above)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*report.Series), "ns/series")
			b.ReportMetric(above, "MB/heap")
			b.ReportMetric(float64(report.Series), "series")
		})
	}
	runtime.KeepAlive(r)
}

// heap is what the heap holds, after a collection if it is asked for.
func heap(collect bool) uint64 {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// taker is a receiver that takes everything, and says how many series that was. It
// uses its memory again, since it is the sender's that counts.
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
	if r.Header.Get("X-Prometheus-Remote-Write-Version") == V2.Version() {
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
