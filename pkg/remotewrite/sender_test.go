package remotewrite

import (
	"fmt"
	"net/url"
	"testing"
)

func TestNewTransport(t *testing.T) {
	t.Parallel()
	tr := NewTransport(7)
	if tr.MaxIdleConnsPerHost != 7 || !tr.DisableCompression || tr.MaxResponseHeaderBytes == 0 || tr.Proxy == nil {
		t.Errorf("%+v", tr)
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	good := parse("https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write")
	for name, tt := range map[string]struct {
		options Options
		want    string
	}{
		"nothing":          {Options{}, "setting up remote write: no URL"},
		"no scheme":        {Options{URL: parse("//host/path")}, "setting up remote write: URL //host/path: must be http://HOST… or https://HOST…"},
		"no host":          {Options{URL: parse("http:///path")}, "setting up remote write: URL http:///path: must be http://HOST… or https://HOST…"},
		"another scheme":   {Options{URL: parse("ftp://user:secret@host/?key=secret")}, "setting up remote write: URL ftp://host/: must be http://HOST… or https://HOST…"},
		"another protocol": {Options{URL: good, Protocol: "3.0"}, `setting up remote write: Protocol "3.0": must be 1.0, 2.0 or auto`},
		"all faults at once": {
			Options{URL: good, Timeout: -1, MaxSeries: -1, Limits: Limits{Labels: -1}},
			"setting up remote write: Timeout is negative\nMaxSeries is negative\nLimits.Labels is negative",
		},
	} {
		if _, err := New(tt.options); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	s, err := New(Options{URL: good})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintln(s.timeout, int(s.fits.Load()), s.maxSeries, s.workers, cap(s.free), s.userAgent, s.retryFor, s.Protocol()); got != "10s 900000 5000 4 5 ecr-remote-write/dev 5m0s 1.0\n" {
		t.Errorf("defaults: %s", got)
	}
}
