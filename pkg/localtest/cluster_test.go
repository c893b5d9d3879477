//go:build unix

package localtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// newCluster returns a small registry with the pods' images.
func newCluster(t *testing.T, now time.Time) (*Registry, *Cluster) {
	t.Helper()
	r, err := StartRegistry(now, 4, 20, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Server.Close)
	c, err := r.AddCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

// The images that the pods run have the properties that their kinds are about.
func TestAddCluster(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r, c := newCluster(t, now)
	tags := map[string]int{}
	for _, p := range c.Pods {
		if p.ByDigest == nil {
			continue
		}
		image, ok := r.Image(p.ByDigest.Name, p.ByDigest.Digest)
		if !ok {
			t.Errorf("%s: %s is not in the registry", p.Kind, p.ByDigest.ID())
			continue
		}
		tags[p.Kind] = len(image.Tags)
		if findings, _ := c.critical(p.ByDigest, now); findings == 0 {
			t.Errorf("%s: without CRITICAL findings", p.Kind)
		}
		if p.Wrong {
			if image, ok := r.Image(p.ByImage.Name, p.ByImage.Tag); !ok || image.Digest == p.ByDigest.Digest {
				t.Errorf("%s: the tag is on %+v", p.Kind, image)
			}
		}
	}
	for kind, want := range map[string]int{"by tag": 2, "by a tag that has moved since": 0, "a child of an index by digest": 0, "an index by tag": 1} {
		if got, ok := tags[kind]; !ok || got != want {
			t.Errorf("%s: %d tags, want %d", kind, got, want)
		}
	}
}

func TestClusterCheck(t *testing.T) {
	t.Parallel()
	now := time.Now()
	_, c := newCluster(t, now)
	// rows is the result for the pods that a function has to find, and optional ones.
	rows := func(optional bool) []Sample {
		var result []Sample
		for i := range c.Pods {
			p := &c.Pods[i]
			if findings, must := c.critical(p.ByDigest, now); must || optional && findings > 0 {
				result = append(result, Sample{map[string]string{"cluster": p.ClusterName(), "pod": p.Pod}, findings})
			}
		}
		return result
	}
	tests := []struct {
		name   string
		change func([]Sample) []Sample
		err    string
	}{
		{"all", func(s []Sample) []Sample { return s }, ""},
		{"with untagged images", func([]Sample) []Sample { return rows(true) }, ""},
		{"another number", func(s []Sample) []Sample { s[0].Value++; return s }, "pod eu-1/by-tag has 3 CRITICAL findings, want 2"},
		{"one is missing", func(s []Sample) []Sample { return s[1:] }, "pod eu-1/by-tag is not there, want it with 2 CRITICAL findings"},
		{
			"one without an image of the registry",
			func(s []Sample) []Sample {
				return append(s, Sample{map[string]string{"cluster": "eu-1", "pod": "not-pulled-yet"}, 2})
			},
			"pod eu-1/not-pulled-yet has 2 CRITICAL findings, want 0",
		},
		{
			"one of another cluster",
			func(s []Sample) []Sample {
				return append(s, Sample{map[string]string{"cluster": "eu-3", "pod": "by-tag"}, 2})
			},
			"pod eu-3/by-tag is not in the cluster",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := c.Check(test.change(rows(false)), now)
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || err.Error() != test.err):
				t.Errorf("error %v, want %s", err, test.err)
			}
		})
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_795_000_000_123)
	_, c := newCluster(t, now)
	status := http.StatusNoContent
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = r.Method + " " + r.URL.String() + "\n" + string(body)
		w.WriteHeader(status)
	}))
	defer server.Close()
	s := &Store{URL: server.URL, client: server.Client()}
	if err := s.Import(t.Context(), c, now); err != nil {
		t.Error(err)
	}
	if want := "POST /api/v1/import/prometheus?timestamp=1795000000123\n" + podtest.Metrics(c.Pods); got != want {
		t.Errorf("got %.300s", got)
	}
	status = http.StatusBadRequest
	if err := s.Import(t.Context(), c, now); err == nil || !strings.Contains(err.Error(), "import the metrics of pods") {
		t.Errorf("error %v", err)
	}
}
