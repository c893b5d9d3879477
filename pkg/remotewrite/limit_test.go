package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestLimiterSteps plays what ends, in which order, and looks at the bound. Each
// round fills the limiter, and then ends all requests in the order they began.
func TestLimiterSteps(t *testing.T) {
	t.Parallel()
	rounds := strings.Fields
	for _, tt := range []struct {
		name   string
		most   int
		rounds []string // o: overload, s: success, n: no answer; the last letter goes for the rest
		bounds []int    // after each round
	}{
		{"success", 4, rounds("s s s"), []int{4, 4, 4}},
		{"no answer", 4, rounds("n n n"), []int{4, 4, 4}},
		{"halves once a round", 16, rounds("o o o o o o"), []int{8, 4, 2, 1, 1, 1}},
		{"odd", 7, rounds("o o o"), []int{3, 1, 1}},
		{"one of many", 8, rounds("so"), []int{4}},
		{"one of many, the first", 8, rounds("os"), []int{4}},
		{"grows by one a round", 8, rounds("o o s s s s s s s"), []int{4, 2, 3, 4, 5, 6, 7, 8, 8}},
		{"from one", 3, rounds("o o s s s"), []int{1, 1, 2, 3, 3}},
		{"no answer does not grow", 4, rounds("o n n s n"), []int{2, 2, 2, 3, 3}},
		{"part of a round is not a round", 8, rounds("o ssn ssn"), []int{4, 4, 5}},
		{"overload ends a round", 8, rounds("o sso s"), []int{4, 2, 3}},
		{"successes before an overload do not count", 8, rounds("o ssso sn s"), []int{4, 2, 2, 3}},
		{"one for ever", 1, rounds("o s o"), []int{1, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLimiter(tt.most)
			var got []int
			for _, letters := range tt.rounds {
				var places []int
				for range l.bound {
					round, ok := l.acquire(t.Context())
					if !ok {
						t.Fatal("no place")
					}
					places = append(places, round)
				}
				for i, round := range places {
					found := map[byte]load{'o': overload, 's': light, 'n': silent}[letters[min(i, len(letters)-1)]]
					l.release(round, found)
				}
				got = append(got, l.bound)
			}
			if diff := cmp.Diff(tt.bounds, got); diff != "" || l.active != 0 {
				t.Errorf("%d active, bounds (-want +got):\n%s", l.active, diff)
			}
		})
	}
}

// TestLimiterWaiting: those who wait are let in in turn, as far as there is room,
// and one who gives up costs no place.
func TestLimiterWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2)
		first, _ := l.acquire(t.Context())
		second, _ := l.acquire(t.Context())
		var mu sync.Mutex
		var in []int
		var rounds []int
		ctx, giveUp := context.WithCancel(t.Context())
		for i := range 5 {
			go func() {
				ctx := ctx
				if i != 1 {
					ctx = t.Context()
				}
				round, ok := l.acquire(ctx)
				if !ok {
					i += 100
				}
				mu.Lock()
				defer mu.Unlock()
				in, rounds = append(in, i), append(rounds, round)
			}()
			synctest.Wait()
		}
		giveUp()
		synctest.Wait()
		l.release(first, overload) // one place less
		synctest.Wait()
		l.release(second, overload) // of the same round
		synctest.Wait()
		if diff := cmp.Diff([]int{101, 0}, in); diff != "" || l.bound != 1 || l.active != 1 {
			t.Fatalf("bound %d, %d active, %s", l.bound, l.active, diff)
		}
		l.release(rounds[1], light) // of the new round: one place more
		synctest.Wait()
		slices.Sort(in[2:]) // let in at once
		if diff := cmp.Diff([]int{101, 0, 2, 3}, in); diff != "" || l.bound != 2 || l.active != 2 || len(l.waiting) != 1 {
			t.Fatalf("bound %d, %d active, %d waiting, %s", l.bound, l.active, len(l.waiting), diff)
		}
		l.release(rounds[2], light)
		synctest.Wait()
		if len(l.waiting) != 0 || l.active != 2 {
			t.Errorf("%d waiting, %d active", len(l.waiting), l.active)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, ok := l.acquire(ended); ok || l.active != 2 || len(l.waiting) != 0 {
			t.Error("a place after the end")
		}
	})
}

// TestLimiterGivesUpInTurn: one whose turn comes while it gives up hands it on.
func TestLimiterGivesUpInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			l := newLimiter(1)
			round, _ := l.acquire(t.Context())
			ctx, giveUp := context.WithCancel(t.Context())
			go func() {
				if _, ok := l.acquire(ctx); ok {
					t.Error("a place after the end")
				}
			}()
			synctest.Wait()
			giveUp()
			l.release(round, light)
			synctest.Wait()
			if l.active != 0 || len(l.waiting) != 0 {
				t.Fatalf("%d active, %d waiting", l.active, len(l.waiting))
			}
		}
	})
}

// watched counts the requests under way, second by second.
type watched struct {
	http.RoundTripper
	start time.Time

	mu     sync.Mutex
	active int
	most   map[int]int // by second
}

func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.active++
	second := int(time.Since(w.start).Seconds())
	w.most[second] = max(w.most[second], w.active)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.active--
	}()
	return w.RoundTripper.RoundTrip(req)
}

// TestOverload: a receiver takes a second for each answer, and is overloaded for
// the first rounds. The number of requests that it sees at once halves, grows
// back, and is where it was when the next push begins.
func TestOverload(t *testing.T) {
	t.Parallel()
	const late = time.Second
	for _, status := range []int{429, 500, 503} {
		for _, protocol := range []Protocol{V1, V2} {
			t.Run(fmt.Sprint(status, " ", protocol), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					to := remotewritetest.NewPipe(t, remotewritetest.Options{})
					watch := &watched{RoundTripper: to.Transport, start: time.Now(), most: make(map[int]int)}
					s := newSender(t, to, func(o *Options) {
						o.Client = &http.Client{Transport: watch}
						o.Protocol, o.Concurrency, o.MaxSeries, o.MinBackoff, o.MaxBackoff = protocol, 8, 1, 1, 1
					})
					to.Answer(slices.Repeat(answers{{Status: status, Delay: late}}, 8+4+2)...)
					to.Answer(slices.Repeat(answers{{Delay: late}}, 1000)...)
					report, err := pushTo(t, s, images(14))
					if err != nil || report.Retries != 14 {
						t.Fatalf("%+v, %v", report, err)
					}
					var most []int
					for second := range 10 {
						if n := watch.most[second]; n > 0 {
							most = append(most, n)
						}
					}
					// 8, 4 and 2 fail; then 1, 2, 3 and 4 succeed, and the last 4 of the 14.
					if diff := cmp.Diff([]int{8, 4, 2, 1, 2, 3, 4, 4}, most); diff != "" {
						t.Errorf("requests at once, by second (-want +got):\n%s", diff)
					}
					if to.MaxActive() != 8 {
						t.Errorf("the receiver saw %d at once", to.MaxActive())
					}

					bound := s.limit.bound
					watch.start, watch.most = time.Now(), make(map[int]int)
					if _, err := pushTo(t, s, images(40)); err != nil {
						t.Fatal(err)
					}
					if watch.most[0] != bound || bound == 8 {
						t.Errorf("the next push begins with %d at once, the last ended with %d", watch.most[0], bound)
					}
					if s.limit.bound != 8 || s.limit.active != 0 {
						t.Errorf("bound %d, %d active", s.limit.bound, s.limit.active)
					}
				})
			})
		}
	}
}

// TestWaitingAtDeadline: batches that wait for their turn are not sent when the
// deadline comes, and counted so.
func TestWaitingAtDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(slices.Repeat(answers{{Status: 503}}, 2)...)
		to.Answer(slices.Repeat(answers{{Delay: 7 * time.Second}}, 100)...)
		s := newSender(t, to, func(o *Options) { o.Concurrency, o.MaxSeries = 2, 10 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := s.Push(ctx, at, images(100), nil)
		checkReport(t, report, err)
		checkIdle(t, s)
		if report.Accepted != 10 || report.NotSent != 90 || s.limit.active != 0 || len(s.limit.waiting) != 0 {
			t.Errorf("%+v", report)
		}
	})
}
