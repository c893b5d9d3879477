package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// oldImages is a registry of the images that the pods of every kind run, and of ten that none
// runs. All were pushed a hundred days ago, but for the one that lost its tag, which is shown
// for 30 days, and those given.
func oldImages(t *testing.T, i *podtest.Images, recent ...string) *ecrtest.Registry {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	old := time.Now().Add(-100 * 24 * time.Hour)
	put := func(image podtest.Image, change func(*ecrtest.Image)) {
		if _, ok := registry.Repository(image.Name); !ok {
			if err := registry.PutRepository(ecrtest.Repository{Name: image.Name}); err != nil {
				t.Fatal(err)
			}
		}
		stored := ecrtest.Image{Digest: image.Digest, Tags: []string{image.Tag}, PushedAt: old, Scan: &ecrtest.ScanSummary{CompletedAt: old}}
		if critical := podFindings(i)[image.Digest]; critical > 0 {
			stored.Scan.Counts = map[string]int32{"CRITICAL": int32(critical), "HIGH": 1}
		}
		if slices.Contains(recent, image.Tag) {
			stored.PushedAt = time.Now().Add(-time.Hour)
		}
		if change(&stored); t.Failed() {
			return
		}
		if err := registry.PutImage(image.Name, stored); err != nil {
			t.Fatal(err)
		}
	}
	put(i.Plain, func(image *ecrtest.Image) { image.Tags = append(image.Tags, i.OtherTag) })
	put(i.Previous, func(image *ecrtest.Image) { image.Tags, image.PushedAt = nil, old.Add(90*24*time.Hour) })
	put(i.Unscanned, func(image *ecrtest.Image) { image.Scan = nil })
	for _, image := range []podtest.Image{i.Index, i.Cached, i.Copied, i.Clean} {
		put(image, func(*ecrtest.Image) {})
	}
	for n := range 10 {
		idle := podtest.Image{Name: i.Plain.Name, Tag: fmt.Sprint("idle-", n), Digest: ecrtest.Digest(fmt.Sprint("idle ", n))}
		put(idle, func(image *ecrtest.Image) { image.Scan.Counts = map[string]int32{"CRITICAL": 1} })
	}
	return registry
}

// tags are the tags that have series at a moment.
func tags(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time) []string {
	t.Helper()
	live, err := prometheus.Instant(t.Context(), `group by (tag) (aws_ecr_image_pushed_at_timestamp_seconds)`, at)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for key := range live {
		list = append(list, strings.TrimSuffix(strings.TrimPrefix(key, `{tag="`), `"}`))
	}
	slices.Sort(list)
	return list
}

// metric is the value of a family with one series.
func metric(t *testing.T, prometheus *tsdbtest.Prometheus, name string, at time.Time) float64 {
	t.Helper()
	result, err := prometheus.Instant(t.Context(), name, at)
	if err != nil || len(result) != 1 {
		t.Fatalf("%s: %v, error %v", name, result, err)
	}
	return slices.Collect(maps.Values(result))[0]
}

// TestInUse: of images that were pushed long ago only those have series that the store knows
// to run, whether it is Prometheus or VictoriaMetrics. Each documented query about pods has
// the same answer as where all have series.
func TestInUse(t *testing.T) {
	t.Parallel()
	images := podImages()
	pods := podtest.Pods(&images)
	scraped, err := tsdbtest.ParseText([]byte(podtest.Metrics(pods)))
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]func(t *testing.T) (queryURL string){
		"Prometheus": func(t *testing.T) string {
			cluster := tsdbtest.Start(t, tsdbtest.Options{Path: tsdbtest.AMPPath})
			scrape(t, cluster, time.Now(), scraped)
			return cluster.QueryURL()
		},
		"VictoriaMetrics": func(t *testing.T) string {
			victoria := startVictoriaMetrics(t)
			// It answers of the time now, of which it has no samples at once.
			for _, ago := range []time.Duration{time.Minute, 30 * time.Second, 0} {
				status, body, err := tsdbtest.WriteV1(t.Context(), victoria.url+"/api/v1/write", time.Now().Add(-ago), scraped...)
				if err != nil || status/100 != 2 {
					t.Fatalf("%d %s, error %v", status, body, err)
				}
			}
			victoria.get(t, "/internal/force_flush", nil)
			return victoria.url + "/api/v1/query?nocache=1"
		},
	}
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := oldImages(t, &images, "idle-0")
			server := ecrtest.Start(t, registry)
			all, some := tsdbtest.Start(t, tsdbtest.Options{}), tsdbtest.Start(t, tsdbtest.Options{})
			s := startFunction(t, server, all.URL(), scansFromSummary).invoke(t, "schedule-rule.json", invocationTimeout)
			if got := tags(t, all, s.Timestamp); len(got) != 17 {
				t.Fatalf("by default %v have series", got)
			}
			never := startFunction(t, server, some.URL(), scansFromSummary, "IDLE_IMAGES=never", "QUERY_URL="+start(t)).invoke(t, "schedule-rule.json", invocationTimeout)
			if got, want := tags(t, some, never.Timestamp), []string{"1.29", "8", "idle-0", "latest", "v1", "v2", "v3", "v4"}; !slices.Equal(got, want) {
				t.Errorf("%v have series, want %v", got, want)
			}
			for name, want := range map[string]float64{"aws_ecr_exporter_in_use_query_success": 1, `aws_ecr_exporter_images_withheld{reason="idle"}`: 9, "aws_ecr_exporter_in_use_query_success_timestamp_seconds": float64(never.Timestamp.Unix())} {
				if got := metric(t, some, name, never.Timestamp); got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			for name, query := range documented(t).queries {
				if !strings.Contains(query, "kube_pod") || slices.Contains(aboutAllImages, "docs: "+name) {
					continue
				}
				scrapeOnce(t, all, s.Timestamp, scraped)
				scrapeOnce(t, some, never.Timestamp, scraped)
				want, err := all.Instant(t.Context(), query, s.Timestamp)
				if err != nil || len(want) == 0 {
					t.Fatalf("%s: %v, error %v", name, want, err)
				}
				got, err := some.Instant(t.Context(), query, never.Timestamp)
				if err != nil {
					t.Fatal(err)
				}
				checkVector(t, name, want, got)
			}
		})
	}
}

// TestInUseUnknown: the documented alert is on a store that has not answered for half a day.
func TestInUseUnknown(t *testing.T) {
	t.Parallel()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	for want, after := range []time.Duration{12 * time.Hour, 12*time.Hour + time.Second} {
		at := start.Add(after)
		scrape(t, prometheus, at, []tsdbtest.Series{{
			Labels: labels.FromStrings("__name__", "aws_ecr_exporter_in_use_query_success_timestamp_seconds"), Value: float64(start.Unix()),
		}})
		if got, err := prometheus.Instant(t.Context(), documented(t).queries["in-use-unknown"], at); err != nil || len(got) != want {
			t.Errorf("%v after an answer: %v, error %v", after, got, err)
		}
	}
}

// scrapeOnce stores series that may be stored already.
func scrapeOnce(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time, series []tsdbtest.Series) {
	t.Helper()
	if err := prometheus.Append(t.Context(), at, series...); err != nil && !strings.Contains(err.Error(), "duplicate") {
		t.Fatal(err)
	}
}

// gate stands before a store's queries and can spoil their answers.
type gate struct {
	url   string
	spoil atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
}

func startGate(t *testing.T, prometheus *tsdbtest.Prometheus) *gate {
	t.Helper()
	target, err := url.Parse(prometheus.QueryURL())
	if err != nil {
		t.Fatal(err)
	}
	to := *target
	to.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(&to)
	transport := &http.Transport{}
	proxy.Transport = transport
	g := &gate{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil := g.spoil.Load(); spoil != nil {
			(*spoil)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	g.url = server.URL + target.Path
	return g
}

// TestInUseHostile: whatever the store answers, no image that it was known to run loses its
// series, and before the first whole answer none does.
func TestInUseHostile(t *testing.T) {
	t.Parallel()
	write := func(text string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, text) }
	}
	for name, spoil := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
		"denies": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, "no", http.StatusForbidden)
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"truncates": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()-4])
		},
		"answers garbage":      write("<html>\x00"),
		"answers an error":     write(`{"status":"error","errorType":"bad_data","error":"parse error"}`),
		"answers another kind": write(`{"status":"success","data":{"resultType":"matrix","result":[]}}`),
		"answers in part":      write(`{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			images := podImages()
			pods := podtest.Pods(&images)
			pods = slices.DeleteFunc(pods, func(p podtest.Pod) bool { return !strings.Contains(p.Spec, images.Cached.URI) })
			cluster := tsdbtest.Start(t, tsdbtest.Options{})
			g := startGate(t, cluster)
			receiver := tsdbtest.Start(t, tsdbtest.Options{})
			registry := oldImages(t, &images)
			f := startFunction(t, ecrtest.Start(t, registry), receiver.URL(), scansFromSummary, "IDLE_IMAGES=never", "QUERY_URL="+g.url, "REMOTE_WRITE_TIMEOUT=2s")
			run := func(what string, answered float64, check func(tags []string) bool) {
				t.Helper()
				s := f.invoke(t, "schedule-rule.json", invocationTimeout)
				if got := tags(t, receiver, s.Timestamp); !check(got) {
					t.Errorf("%s: %v have series", what, got)
				}
				if got := metric(t, receiver, "aws_ecr_exporter_in_use_query_success", s.Timestamp); got != answered || (s.Errors["query"] == "") != (answered == 1) {
					t.Errorf("%s: success %v, error %q", what, got, s.Errors["query"])
				}
			}
			everything := func(tags []string) bool { return len(tags) == 17 }
			only := func(want ...string) func([]string) bool {
				return func(tags []string) bool { return slices.Equal(tags, want) }
			}
			has := func(tag string) func([]string) bool {
				return func(tags []string) bool { return slices.Contains(tags, tag) }
			}
			store := func(pods []podtest.Pod) {
				t.Helper()
				series, err := tsdbtest.ParseText([]byte(podtest.Metrics(pods)))
				if err != nil {
					t.Fatal(err)
				}
				scrape(t, cluster, time.Now(), series)
			}
			store(pods)
			g.spoil.Store(&spoil)
			run("at first", 0, everything)
			g.spoil.Store(nil)
			run("after an answer", 1, only("8"))
			g.spoil.Store(&spoil)
			run("after it", 0, has("8"))
			more := podtest.Pods(&images)[:1]
			store(more)
			run("with another pod", 0, has("8"))
			g.spoil.Store(nil)
			run("at last", 1, only("8", "latest", "v1"))
		})
	}
}
