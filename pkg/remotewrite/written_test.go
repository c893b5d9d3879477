package remotewrite

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestFates pushes ten series in one batch and answers it with each kind of
// status, protocol and headers. What can be tried again is left alone here, see
// TestStatuses.
func TestFates(t *testing.T) {
	t.Parallel()
	type headers = http.Header
	wrote := func(n string) headers { return headers{samplesWritten: {n}, histogramsWritten: {"0"}} }
	all := result{accepted: 10}
	for _, tt := range []struct {
		name     string
		statuses []int
		headers  headers
		v1, v2   result // what becomes of the ten
		err      error  // of 2.0
		sent     int    // of 2.0's error, 10 if it says what was written
		odd      bool   // of 2.0
	}{
		{name: "nothing said", statuses: []int{200, 202, 204, 206}, v1: all, v2: result{unconfirmed: 10}, err: errNoWritten},
		{name: "nothing said", statuses: []int{400, 401, 403, 404, 409, 410, 422, 451, 499}, v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}},
		{name: "nothing said", statuses: []int{415}, v1: result{unconfirmed: 10}, v2: result{refused: 10}, err: errNot20},
		{name: "all", statuses: []int{200, 204}, headers: wrote("10"), v1: all, v2: all},
		{name: "all, with spaces", statuses: []int{200, 204}, headers: wrote(" 10\t"), v1: all, v2: all},
		{name: "all", statuses: []int{400, 409, 415}, headers: wrote("10"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "some", statuses: []int{200, 204}, headers: wrote("7"), v1: all, v2: result{accepted: 7, refused: 3}, sent: 10},
		{name: "some", statuses: []int{400, 404, 409, 422}, headers: wrote("7"), v1: result{unconfirmed: 10}, v2: result{accepted: 7, refused: 3}, sent: 10},
		{name: "none", statuses: []int{200, 204}, headers: wrote("0"), v1: all, v2: result{refused: 10}, sent: 10},
		{name: "none", statuses: []int{400, 422}, headers: wrote("0"), v1: result{unconfirmed: 10}, v2: result{refused: 10}, sent: 10},
		{name: "only another header", statuses: []int{200, 204}, headers: headers{exemplarsWritten: {"0"}}, v1: all, v2: result{refused: 10}, sent: 10},
		{name: "only another header", statuses: []int{400}, headers: headers{histogramsWritten: {"10"}}, v1: result{unconfirmed: 10}, v2: result{refused: 10}, sent: 10},
		{name: "more than there are", statuses: []int{200, 204}, headers: wrote("11"), v1: all, v2: all, odd: true},
		{name: "more than there are", statuses: []int{400, 409}, headers: wrote("11"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "as many as can be said", statuses: []int{200, 204}, headers: wrote("9223372036854775807"), v1: all, v2: all, odd: true},
		{name: "as many as can be said", statuses: []int{400}, headers: wrote("9223372036854775807"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errAllWritten},
		{name: "negative", statuses: []int{200, 204}, headers: wrote("-1"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "negative", statuses: []int{400}, headers: wrote("-1"), v1: result{unconfirmed: 10}, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "no integer", statuses: []int{200}, headers: wrote("10.0"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "empty", statuses: []int{200}, headers: wrote(""), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "a list", statuses: []int{200}, headers: wrote("5, 5"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "beyond 64 bits", statuses: []int{200}, headers: wrote("9223372036854775808"), v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "twice the same", statuses: []int{200}, headers: headers{samplesWritten: {"10", "10"}}, v1: all, v2: all},
		{name: "twice and different", statuses: []int{200}, headers: headers{samplesWritten: {"10", "3"}}, v1: all, v2: result{unconfirmed: 10}, err: errMalformed},
		{name: "of a redirect", statuses: []int{300, 302, 307, 308}, headers: wrote("10"), v1: result{refused: 10}, v2: result{refused: 10}},
		{name: "nothing said", statuses: []int{300, 302, 307, 308, 600, 999}, v1: result{refused: 10}, v2: result{refused: 10}},
	} {
		for _, status := range tt.statuses {
			for _, protocol := range []Protocol{V1, V2} {
				t.Run(fmt.Sprint(tt.name, " ", status, " ", protocol), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						want, wantErr, sent, odd := tt.v2, tt.err, tt.sent, tt.odd
						if protocol == V1 {
							want, wantErr, sent, odd = tt.v1, nil, 0, false
						}
						to := remotewritetest.NewPipe(t, remotewritetest.Options{})
						to.Answer(remotewritetest.Answer{Status: status, Header: tt.headers, NoWritten: true})
						var log logs
						s := newSender(t, to, func(o *Options) { o.Protocol, o.Logger = protocol, log.logger(t) })
						report, err := pushTo(t, s, images(10))
						got := result{accepted: report.Accepted, refused: report.Refused, unconfirmed: report.Unconfirmed, notSent: report.NotSent}
						if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
							t.Error(diff)
						}
						if report.Protocol != string(protocol) || report.Requests != 1 {
							t.Errorf("%+v", report)
						}

						lines := log.above(t)
						var d *DeliveryError
						if errors.As(err, &d) {
							wantD := &DeliveryError{
								URL: to.URL.String(), Protocol: protocol, Status: status, Attempts: 1,
								Series: want.lost(), Unconfirmed: want.unconfirmed, Err: wantErr,
							}
							if sent > 0 {
								wantD.Sent, wantD.Written = sent, want.accepted
							}
							if diff := cmp.Diff(wantD, d, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
								t.Error(diff)
							}
							if len(lines) != 1 || lines[0]["level"] != "ERROR" || lines[0]["status"] != float64(status) {
								t.Errorf("logged %v", lines)
							}
						} else if odd != (len(lines) == 1 && lines[0]["level"] == "WARN") {
							t.Errorf("logged %v", lines)
						}
					})
				})
			}
		}
	}
}

// TestWrittenOfAttempts: only the last answer counts. What earlier ones say they
// have written is in the count of the last, or sent again in the next run.
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
		if report.Accepted != 8 || report.Refused != 2 || report.Retries != 3 {
			t.Errorf("%+v, %v", report, err)
		}
		to.Answer(remotewritetest.Answer{Status: 503, Header: http.Header{samplesWritten: {"10"}, "Retry-After": {"3600"}}})
		s = newSender(t, to, func(o *Options) { o.Protocol, o.RetryFor = V2, 1 })
		report, err = pushTo(t, s, images(10))
		if report.NotSent != 10 || report.Accepted != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestPartialWrite: a receiver that stores what is valid and says so is counted to
// the series. With 1.0 it cannot say so.
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
