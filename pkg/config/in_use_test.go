package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// The store is asked only with IDLE_IMAGES=never, of AMP where the samples go.
func TestQueryURL(t *testing.T) {
	t.Parallel()
	const never = "IDLE_IMAGES=never"
	for _, c := range []struct {
		environ []string
		use     config.Use
		want    string // empty for none
		err     string // part of it; empty for none
	}{
		{environ: []string{ampURL}},
		{environ: []string{plainURL}},
		{environ: []string{ampURL, never}, want: "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query"},
		{environ: []string{strings.Replace(ampURL, "ws-1", "ws%2D1", 1), never}, want: "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query"},
		{environ: []string{ampURL, never, "QUERY_URL=http://thanos/api/v1/query?dedup=true"}, want: "http://thanos/api/v1/query?dedup=true"},
		{environ: []string{plainURL, never, "QUERY_URL=http://thanos/api/v1/query"}, want: "http://thanos/api/v1/query"},
		{environ: []string{plainURL, never}, err: "QUERY_URL: required where IDLE_IMAGES is never and the endpoint is no AMP workspace"},
		{environ: []string{ampURL + "/x", never}, err: "QUERY_URL: required"},
		{environ: []string{plainURL, never}, use: config.ToPrint},
		{environ: []string{never}, use: config.ToPrint},
		{environ: []string{plainURL, never, "QUERY_URL=http://me:hunter2@thanos/"}, err: "without user name and password"},
	} {
		got, err := config.Load(c.environ, c.use)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: error %v, want %q", c.environ, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.environ, err)
		} else if text := got.QueryURL.URL.String(); text != c.want {
			t.Errorf("%q: %q, want %q", c.environ, text, c.want)
		}
	}
}

func TestInUseShape(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]time.Duration{
		"IDLE_IMAGES=never": 90 * 24 * time.Hour, "IDLE_IMAGES=push": 0, "IN_USE_WITHIN=7d": 0, "SETTINGS=IDLE_IMAGES=never;IN_USE_WITHIN=7d": 7 * 24 * time.Hour,
	} {
		if got := load(t, ampURL, setting).Shape().InUseWithin; got != want {
			t.Errorf("%s: %v, want %v", setting, got, want)
		}
	}
}
