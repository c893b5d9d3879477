//go:build unix

package localtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What VictoriaMetrics exports of one time; a staleness marker is null.
func TestAt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		want       []Pushed
		err        string
	}{
		{
			name: "a sample and a marker",
			body: `{"metric":{"__name__":"up","a":"b"},"values":[2.5],"timestamps":[1796040000123]}` + "\n" +
				`{"metric":{"__name__":"up"},"values":[null],"timestamps":[1796040000123]}` + "\n",
			want: []Pushed{{Labels: map[string]string{"__name__": "up", "a": "b"}, Value: 2.5}, {Labels: map[string]string{"__name__": "up"}, Stale: true}},
		},
		{name: "nothing", body: ""},
		{name: "two samples of one time", body: `{"metric":{"__name__":"up"},"values":[1,2]}`, err: "2 samples at one time"},
		{name: "no JSON", body: "<html>", err: "decode what VictoriaMetrics exports"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/internal/force_flush" {
					return
				}
				if want := "/api/v1/export?end=1796040000.123&match%5B%5D=%7B__name__%21%3D%22%22%7D&start=1796040000.123"; r.URL.RequestURI() != want {
					t.Errorf("request %s, want %s", r.URL.RequestURI(), want)
				}
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			s := &Store{URL: server.URL, client: server.Client()}
			got, err := s.At(t.Context(), time.UnixMilli(1796040000123))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
