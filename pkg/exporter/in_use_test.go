package exporter_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/running"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// cluster is a store that knows which images run.
type cluster struct {
	images []string
	down   bool
	asked  int
}

// RoundTrip answers a query.
func (c *cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	if c.asked++; c.down {
		return nil, errors.New("the store is down")
	}
	answer := httptest.NewRecorder()
	var rows []string
	for _, image := range c.images {
		rows = append(rows, fmt.Sprintf(`{"metric":{"image_id":%q},"value":[1,"1"]}`, image))
	}
	fmt.Fprintf(answer, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(rows, ","))
	return answer.Result(), nil
}

// selecting adds the selection of the shape and a store to ask.
func (w *world) selecting(c *cluster) func(*exporter.Options) {
	return func(o *exporter.Options) {
		selected, err := selection.New(o.Table.Shape())
		w.check(err)
		o.Refresher = refresh.New(w.source, refresh.Options{Interval: interval, Concurrency: 4, Includes: selected.Repository, Select: selected.Apply})
		o.Admit = selected.Admit
		if c != nil {
			o.Running = running.New(running.Options{URL: &url.URL{Scheme: "http", Host: "store"}, Transport: c, Timeout: time.Second})
		}
	}
}

// With never what turns idle ends, and what comes into use has its series in the next run.
// Runs for events do not ask.
func TestIdleImages(t *testing.T) {
	t.Parallel()
	never := shaped(func(s *inventory.Shape) { s.InUseWithin = 90 * 24 * time.Hour })
	bubble(t, "through a day", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		store := &cluster{images: []string{"x/app@" + ecrtest.Digest("1")}}
		w.restart(never, w.selecting(store))
		run := func(ended int, alive string) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			summary, err := w.run(time.Minute)
			w.check(err)
			var tags []string
			for n := range 3 {
				tag := fmt.Sprint("v", n)
				if _, alive := w.stale(tag); alive > 0 {
					tags = append(tags, tag)
				}
			}
			if got := strings.Join(tags, " "); summary.Ended != ended || got != alive {
				t.Errorf("%d series ended, alive %q; want %d, %q", summary.Ended, got, ended, alive)
			}
		}
		store.down = true
		run(0, "v0 v1 v2") // nothing is known
		store.down = false
		run(2, "v1")
		run(0, "v1")
		store.images = []string{"x/app@" + ecrtest.Digest("2")}
		run(0, "v1 v2") // v1 ran within a day
		store.down = true
		run(0, "v1 v2")
		asked := store.asked
		_, err := w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app"}})
		w.check(err)
		if store.asked != asked {
			t.Error("a run for an event asks")
		}
		w.restart(never, w.selecting(store))
		run(0, "v1 v2")
		time.Sleep(24 * time.Hour)
		run(0, "v0 v1 v2") // nothing is known any more
		store.down = false
		run(1, "v1 v2") // by the full hour
		time.Sleep(time.Hour)
		run(1, "v2")
	})
	bubble(t, "and all have series as soon as the setting says so", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		w.restart(never, w.selecting(&cluster{}))
		summary, err := w.run(time.Minute)
		w.check(err)
		if summary.Series != 3 {
			t.Errorf("%d series, want those of the registry and repository", summary.Series)
		}
		w.restart(w.selecting(nil))
		time.Sleep(time.Minute)
		summary, err = w.run(time.Minute)
		w.check(err)
		if summary.Series != 6 || summary.Ended != 0 {
			t.Errorf("%d series and %d ended, want 6 and 0", summary.Series, summary.Ended)
		}
	})
}

// A push that is large and grows by more than twice within half an hour grows over several
// runs, by what is in use first. Nothing that was shown is left out, and nothing ends.
func TestRamp(t *testing.T) {
	t.Parallel()
	bubble(t, "at first, and through cold starts", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(1000)...)
		w.put("used", ecrtest.Image{Digest: ecrtest.Digest("used"), Tags: []string{"used"}, SizeBytes: aws.Int64(1), PushedAt: time.Now().Add(-time.Hour)})
		ramped := func(o *exporter.Options) { w.selecting(nil)(o); o.RampAbove = 100 }
		w.restart(ramped)
		run := func(after time.Duration) int {
			t.Helper()
			time.Sleep(after)
			summary, err := w.run(time.Minute)
			w.check(err)
			if summary.Ended > 0 {
				t.Errorf("%d series ended", summary.Ended)
			}
			return summary.Series
		}
		// Besides images there are 2 series of the registry and 2 of repositories.
		if n := run(0); n != 104 {
			t.Errorf("at first %d series, want 104", n)
		}
		w.wantStale("used", 0, 2)
		for range 14 {
			if n := run(2 * time.Minute); n != 104 {
				t.Fatalf("within half an hour %d series", n)
			}
		}
		w.restart(ramped)
		last := 104
		for at := 30; at < 6*60; at += 10 {
			n := run(10 * time.Minute)
			if n < last || n > 2*last+4 {
				t.Errorf("after %d minutes %d series, before %d", at, n, last)
			}
			if last = n; n == 1006 {
				if at < 2*60 {
					t.Errorf("all after %d minutes", at)
				}
				w.put("app", ecrtest.Image{Digest: ecrtest.Digest("new"), Tags: []string{"new"}, SizeBytes: aws.Int64(1)})
				if n := run(interval); n != 1007 {
					t.Errorf("with a new image %d series", n)
				}
				return
			}
		}
		t.Errorf("never more than %d series", last)
	})
	bubble(t, "not of what an earlier version pushed", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(300)...)
		w.restart(w.selecting(nil))
		_, err := w.run(time.Minute)
		w.check(err)
		w.restart(w.selecting(nil), func(o *exporter.Options) { o.RampAbove = 100 })
		for n := range 8 {
			time.Sleep(interval)
			w.put("app", ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint("new ", n)), Tags: []string{fmt.Sprint("new-", n)}, SizeBytes: aws.Int64(1)})
			summary, err := w.run(time.Minute)
			w.check(err)
			if summary.Series != 304+n || summary.Ended > 0 {
				t.Errorf("%d series, %d ended; want %d and none", summary.Series, summary.Ended, 304+n)
			}
		}
	})
}
