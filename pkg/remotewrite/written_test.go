package remotewrite

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestResults: what the last response means for ten series, by status, protocol and
// headers.
func TestResults(t *testing.T) {
	t.Parallel()
	type headers = http.Header
	wrote := func(n string) headers { return headers{samplesWritten: {n}, histogramsWritten: {"0"}} }
	all := result{accepted: 10}
	unread := result{refused: 10, unread: true}
	for _, tt := range []struct {
		name     string
		statuses []int
		headers  headers
		v1, v2   result
		err      error // of 2.0, as are the following
		counted  bool
		over     bool
	}{
		{name: "nothing said", statuses: []int{200, 202, 204, 206}, v1: all, v2: result{unconfirmed: 10}, err: errNoWritten},
		{name: "nothing said", statuses: []int{400, 404, 409, 410, 422, 451, 499}, v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}},
		{name: "about the credentials", statuses: []int{401, 403}, headers: wrote("7"), v1: unread, v2: unread},
		{name: "about the size", statuses: []int{413}, headers: wrote("7"), v1: result{refused: 10}, v2: result{refused: 10}},
		{name: "about the protocol", statuses: []int{415}, v1: unread, v2: unread, err: errNot20},
		{name: "about the protocol", statuses: []int{415}, headers: wrote("10"), v1: unread, v2: unread, err: errNot20},
		{name: "all", statuses: []int{200, 204}, headers: wrote("10"), v1: all, v2: all},
		{name: "all, with spaces", statuses: []int{200, 204}, headers: wrote(" 10\t"), v1: all, v2: all},
		{name: "all", statuses: []int{400, 409}, headers: wrote("10"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "some", statuses: []int{200, 204}, headers: wrote("7"), v1: all, v2: result{accepted: 7, refused: 3}, counted: true},
		{name: "some", statuses: []int{400, 404, 409, 422}, headers: wrote("7"), v1: result{unconfirmed: 10}, v2: result{accepted: 7, refused: 3}, counted: true},
		{name: "none", statuses: []int{200, 204}, headers: wrote("0"), v1: all, v2: result{refused: 10}, counted: true},
		{name: "none", statuses: []int{400, 422}, headers: wrote("0"), v1: result{unconfirmed: 10}, v2: result{refused: 10}, counted: true},
		{name: "only another header", statuses: []int{200, 204}, headers: headers{exemplarsWritten: {"0"}}, v1: all, v2: result{refused: 10}, counted: true},
		{name: "only another header", statuses: []int{400}, headers: headers{histogramsWritten: {"10"}}, v1: result{unconfirmed: 10}, v2: result{refused: 10}, counted: true},
		{name: "more than there are", statuses: []int{200, 204}, headers: wrote("11"), v1: all, v2: all, over: true},
		{name: "more than there are", statuses: []int{400, 409}, headers: wrote("11"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "as many as can be said", statuses: []int{200, 204}, headers: wrote("9223372036854775807"), v1: all, v2: all, over: true},
		{name: "as many as can be said", statuses: []int{400}, headers: wrote("9223372036854775807"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "negative", statuses: []int{200, 204}, headers: wrote("-1"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "negative", statuses: []int{400}, headers: wrote("-1"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "no integer", statuses: []int{200}, headers: wrote("10.0"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "empty", statuses: []int{200}, headers: wrote(""), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "a list", statuses: []int{200}, headers: wrote("5, 5"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "beyond 64 bits", statuses: []int{200}, headers: wrote("9223372036854775808"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "twice the same", statuses: []int{200}, headers: headers{samplesWritten: {"10", "10"}}, v1: all, v2: all},
		{name: "twice and different", statuses: []int{200}, headers: headers{samplesWritten: {"10", "3"}}, v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "of a redirect", statuses: []int{300, 302, 307, 308}, headers: wrote("10"), v1: unread, v2: unread},
		{name: "nothing said", statuses: []int{300, 302, 307, 308, 600, 999}, v1: unread, v2: unread},
		{name: "of an overload", statuses: []int{429, 500, 503, 599}, headers: wrote("10"), v1: unanswered(10, true), v2: unanswered(10, true)},
	} {
		for _, status := range tt.statuses {
			v2 := tt.v2
			v2.err, v2.counted, v2.overcounted = tt.err, tt.counted || tt.over || tt.v2 == all, tt.over
			for protocol, want := range map[Protocol]result{V1: tt.v1, V2: v2} {
				if got := resultOf(protocol, status, parseWritten(tt.headers), 10); got != want {
					t.Errorf("%s, HTTP %d, %s: %+v, want %+v", tt.name, status, protocol, got, want)
				}
			}
		}
	}
}

// TestOvercounted: it is logged, and no series counts as lost.
func TestOvercounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(remotewritetest.Answer{Header: http.Header{samplesWritten: {"11"}}}, remotewritetest.Answer{Header: http.Header{samplesWritten: {"11"}}})
		var log logs
		s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries, o.Logger = V2, 10, log.logger(t) })
		report, err := pushTo(t, s, images(20))
		if lines := log.above(t); report.Accepted != 20 || err != nil || len(lines) != 1 || lines[0]["level"] != "WARN" || lines[0]["responses"] != 2.0 {
			t.Errorf("%+v, %v, logged %v", report, err, lines)
		}
	})
}

// TestWrittenOfAttempts: only the count of the last response matters. What that refuses,
// an earlier attempt may have stored.
func TestWrittenOfAttempts(t *testing.T) {
	t.Parallel()
	wrote := func(status int, n string) remotewritetest.Answer {
		return remotewritetest.Answer{Status: status, Header: http.Header{samplesWritten: {n}}}
	}
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(wrote(503, "4"), wrote(429, "6"), wrote(500, "10"), wrote(400, "8"))
		s := newSender(t, to, func(o *Options) { o.Protocol = V2 })
		report, err := pushTo(t, s, images(10))
		if report.Accepted != 8 || report.Unconfirmed != 2 || report.Retries != 3 {
			t.Errorf("%+v, %v", report, err)
		}
		to.Answer(remotewritetest.Answer{Status: 503, Header: http.Header{samplesWritten: {"10"}, "Retry-After": {"3600"}}})
		s = newSender(t, to, func(o *Options) { o.Protocol, o.RetryFor = V2, 1 })
		report, err = pushTo(t, s, images(10))
		if report.Unconfirmed != 10 || report.Accepted != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestPartialWrite: if a receiver of 2.0 stores only a part, the counts are exact. With
// 1.0 it cannot report that.
func TestPartialWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		protocol                       Protocol
		accepted, refused, unconfirmed int
		text                           string
	}{
		{V2, 90, 10, 0, `remote write of 10 series to http://receiver.test/api/v1/write: HTTP 400 "out of order sample", 40 of 50 samples written`},
		{V1, 50, 0, 50, `remote write of 50 series to http://receiver.test/api/v1/write: HTTP 400 "out of order sample"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			refused := 0
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Answer{}, remotewritetest.Answer{Refuse: func(remotewritetest.Series) string {
				if refused++; refused%5 == 0 {
					return "out of order sample"
				}
				return ""
			}})
			s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries, o.Concurrency = tt.protocol, 50, 1 })
			report, err := pushTo(t, s, images(100))
			if report.Accepted != tt.accepted || report.Refused != tt.refused || report.Unconfirmed != tt.unconfirmed {
				t.Errorf("%s: %+v", tt.protocol, report)
			}
			if n := len(to.All()); n != 90 {
				t.Errorf("%s: %d stored", tt.protocol, n)
			}
			if err == nil || err.Error() != tt.text {
				t.Errorf("%s: error %v, want %s", tt.protocol, err, tt.text)
			}
		})
	}
}

func FuzzParseWritten(f *testing.F) {
	for _, s := range []string{"", "0", "10", "-1", " 5 ", "9223372036854775808", "5,5", "+3", "1_000"} {
		f.Add(s, 204, 10)
	}
	f.Fuzz(func(t *testing.T, value string, status, n int) {
		if n < 1 {
			return
		}
		w := parseWritten(http.Header{samplesWritten: {value}})
		for _, p := range []Protocol{V1, V2} {
			got := resultOf(p, status, w, n)
			if got.accepted < 0 || got.refused < 0 || got.accepted+got.refused+got.unconfirmed+got.notSent != n {
				t.Errorf("%q, HTTP %d, %s: %+v of %d", value, status, p, got, n)
			}
		}
	})
}
