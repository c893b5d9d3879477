package remotewrite

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// told are the lines above debug level, as "LEVEL message".
func (l *logs) told(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, line := range l.above(t) {
		all = append(all, fmt.Sprint(line["level"], " ", line["msg"]))
	}
	return all
}

// TestNoFlood makes pushes of which the answers are known, and reads the log.
func TestNoFlood(t *testing.T) {
	t.Parallel()
	const (
		refusal = "ERROR series not confirmed"
		down    = "ERROR series not delivered"
		dropped = "WARN series dropped before sending"
		over    = "INFO remote write trouble is over"
	)
	type answer = remotewritetest.Answer
	ok := func(int) answer { return answer{} }
	// The same refusal names another series and another time each time.
	cortex := func(run int) answer {
		return answer{Status: 400, Body: fmt.Sprintf(
			`user=7: err: out of order sample. timestamp=2026-11-22T10:%02d:00Z, series={__name__="up", tag="v%d"}`, run, run)}
	}
	mimir := func(run int) answer {
		return answer{Status: 400, Body: fmt.Sprintf("failed pushing to ingester mimir-%d: the sample is too old (err-mimir-sample-timestamp-too-old). "+
			"The affected sample has timestamp 2026-11-22T10:%02d:00.123Z and is from series `up{tag=\"%s\"}`", run%3, run, strings.Repeat("x", run))}
	}
	closed := func(int) answer { return answer{Close: true} }
	wordy := func(run int) answer { return answer{Status: 400, Body: strings.Repeat("new words ", run)} }
	unavailable := func(int) answer { return answer{Status: 503, Body: "no healthy upstream"} }
	both := func(run int) answer {
		if run%2 == 0 {
			return cortex(run)
		}
		return mimir(run)
	}
	bad := func(n int) iter.Seq[metrics.Series] {
		return func(yield func(metrics.Series) bool) {
			for s := range images(n) {
				if !yield(s) {
					return
				}
			}
			yield(gauge(1, "no", "name"))
		}
	}
	type runs struct {
		n int
		// answers are for the batches of a push, the last for its further ones; small
		// for the second, small push of each run, nil if there is none.
		main, small  []func(int) answer
		series, self func(int) iter.Seq[metrics.Series]
	}
	list := func(f ...func(int) answer) []func(int) answer { return f }
	for _, tt := range []struct {
		name string
		runs []runs
		want []string
	}{
		{"all well", []runs{{n: 5, main: list(ok)}}, nil},
		{"the same refusal", []runs{{n: 10, main: list(cortex)}}, []string{refusal}},
		{"the same refusal in other words", []runs{{n: 10, main: list(mimir, ok)}}, []string{refusal}},
		{"of one batch in several", []runs{{n: 10, main: []func(int) answer{ok, cortex, ok}}}, []string{refusal}},
		{"two by turns", []runs{{n: 10, main: list(both, ok)}}, []string{refusal, refusal}},
		{"always in other words", []runs{{n: 20, main: list(wordy)}, {n: 5, main: list(ok)}},
			[]string{refusal, refusal, refusal, refusal, over}},
		{"begins, ends and begins", []runs{{n: 5, main: list(cortex)}, {n: 5, main: list(ok)}, {n: 5, main: list(cortex)}},
			[]string{refusal, over, refusal}},
		{"one good push is not the end", []runs{{n: 2, main: list(cortex)}, {n: 1, main: list(ok)}, {n: 2, main: list(cortex)}}, []string{refusal}},
		{"down", []runs{{n: 5, main: list(closed)}, {n: 5, main: list(ok)}}, []string{down, over}},
		{"overloaded", []runs{{n: 5, main: list(unavailable)}, {n: 5, main: list(ok)}}, []string{down, over}},
		{"nothing accepted tells nothing", []runs{{n: 2, main: list(cortex)}, {n: 5, main: list(unavailable)}, {n: 2, main: list(cortex)}},
			[]string{refusal, down}},
		{"another trouble goes on", []runs{{n: 2, main: list(cortex, mimir)}, {n: 5, main: list(mimir, ok)}, {n: 2, main: list(ok)}}, []string{refusal, refusal, over}},
		{"a small push that goes well", []runs{{n: 10, main: list(cortex, ok), small: list(ok)}}, []string{refusal}},
		{"a small push that does not", []runs{{n: 10, main: list(ok), small: list(cortex)}}, []string{refusal}},
		{"both", []runs{{n: 10, main: list(cortex), small: list(cortex)}, {n: 3, main: list(ok), small: list(ok)}}, []string{refusal, over}},
		{"dropped", []runs{{n: 10, main: list(ok), series: bad}, {n: 5, main: list(ok)}}, []string{dropped, over}},
		{"dropped, with a small push", []runs{{n: 10, main: list(ok), series: bad, small: list(ok)}}, []string{dropped}},
		{"dropped in the small push", []runs{{n: 10, main: list(ok), small: list(ok), self: bad}}, []string{dropped}},
		{"dropped and down", []runs{{n: 5, main: list(closed), series: bad}, {n: 5, main: list(ok)}}, []string{down, dropped, over, over}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				var log logs
				s := newSender(t, to, func(o *Options) {
					o.Logger, o.Concurrency, o.MaxSeries = log.logger(t), 1, 10
					o.RetryFor = 1 // no retries
				})
				debug := 0
				push := func(run, batches int, script []func(int) answer, series func(int) iter.Seq[metrics.Series]) {
					if series == nil {
						series = images
					}
					for i := range batches {
						to.Answer(script[min(i, len(script)-1)](run))
					}
					report, err := s.Push(t.Context(), at, series(10*batches), nil)
					checkReport(t, report, err)
					if to.Unused() > 0 {
						t.Fatal("the script is out of step")
					}
					if err != nil {
						debug++
					}
				}
				run := 0
				for _, r := range tt.runs {
					for range r.n {
						push(run, 4, r.main, r.series)
						if r.small != nil {
							push(run, 1, r.small, r.self)
						}
						run++
					}
				}
				if diff := cmp.Diff(tt.want, log.told(t)); diff != "" {
					t.Errorf("logged (-want +got):\n%s", diff)
				}
				// What is not said again is there for debugging.
				if lines := len(log.lines(t)); lines < debug {
					t.Errorf("%d lines for %d failed pushes", lines, debug)
				}
			})
		})
	}
}

// TestOver: the line says what is over.
func TestOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{Status: 409, Body: "conflict"}, {Status: 409, Body: "conflict"}}...)
		var log logs
		s := newSender(t, to, func(o *Options) { o.Logger = log.logger(t) })
		for range 4 {
			_, _ = pushTo(t, s, images(3))
		}
		lines := log.above(t)
		got := lines[len(lines)-1]
		delete(got, "time")
		if diff := cmp.Diff(map[string]any{
			"level": "INFO", "msg": "remote write trouble is over", "trouble": "series not confirmed",
			"status": 409.0, "body": "conflict", "pushes": 2.0, "since": "2000-01-01T00:00:00Z",
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestStandingIsBounded: a receiver that finds new words each time does not fill
// the memory, nor the log.
func TestStandingIsBounded(t *testing.T) {
	t.Parallel()
	var s standing
	news := 0
	for i := range 1000 {
		for kind := range 100 {
			if s.raise(fmt.Sprint(kind), strings.Repeat("x", i)) {
				news++
			}
		}
		s.pushed(true)
	}
	if news != maxStanding*maxWordings || len(s.kinds) != maxStanding {
		t.Errorf("%d lines, %d kinds", news, len(s.kinds))
	}
}

func TestLikeness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want string }{
		{"", "", ""},
		{"out of order sample", "out of order sample", "out of order sample"},
		{`user=7: out of order, series={a="b"}, ts=2026-11-22T10:00:00Z`, `user=81: out of order, series={c="d"}, ts=2026-12-01T09:15:30Z`, "user=# out of order, series=#, ts=#"},
		{`at 10.0.0.1:443: refused`, `at 10.0.0.2:8443: refused`, `at # refused`},
		{`series "a" is bad`, `series "b c" is bad`, `series # is bad`},
		{"series `a{b=\"c\"}` is bad", "series `d` is bad", "series # is bad"},
		{"a series {never", "a series {ends", "a series #"},
		{"request 1f0c9a failed", "request 99 failed", "request # failed"},
		{strings.Repeat("long ", 100) + "a", strings.Repeat("long ", 100) + "b", strings.Repeat("long ", 40)},
	} {
		for _, text := range []string{tt.a, tt.b} {
			if got := likeness(text); got != tt.want {
				t.Errorf("%q: %q, want %q", text, got, tt.want)
			}
		}
	}
	if likeness("bad request") == likeness("too old") {
		t.Error("everything is alike")
	}
}

func FuzzLikeness(f *testing.F) {
	f.Add(`user=7: series={a="b"}`)
	f.Add("`\"{")
	f.Fuzz(func(t *testing.T, s string) {
		if got := likeness(s); len(got) > len(s)+200 {
			t.Errorf("%q: %q", s, got)
		}
	})
}
