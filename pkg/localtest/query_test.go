//go:build unix

package localtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeVector(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []Sample
		err        string
	}{
		{
			name: "as VictoriaMetrics answers",
			body: `{"status":"success","data":{"resultType":"vector","result":[` +
				`{"metric":{"name":"data/webhook"},"value":[1795378481.201,"66.099233305"]},` +
				`{"metric":{},"value":[1795378481.201,"3e+22"]}]},` +
				`"stats":{"seriesFetched": "2","executionTimeMsec":1}}`,
			want: []Sample{{map[string]string{"name": "data/webhook"}, 66.099233305}, {map[string]string{}, 3e22}},
		},
		{
			name: "nothing",
			body: `{"status":"success","data":{"resultType":"vector","result":[]}}`,
			want: []Sample{},
		},
		{
			name: "an error",
			body: `{"status":"error","errorType":"422","error":"cannot parse query"}`,
			err:  `response with status "error": cannot parse query`,
		},
		{
			name: "a matrix",
			body: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}}`,
			err:  `response with a "matrix" instead of a vector`,
		},
		{
			name: "a value that is no text",
			body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,2]}]}}`,
			err:  "decode the value of map[a:b]",
		},
		{
			name: "no value",
			body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"}}]}}`,
			err:  "decode the value of map[a:b]",
		},
		{
			name: "a value that is no number",
			body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"two"]}]}}`,
			err:  "decode the value of map[a:b]",
		},
		{name: "no JSON", body: "<html>", err: "decode the response"},
		{name: "empty", body: "", err: "decode the response"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeVector([]byte(test.body))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What VictoriaMetrics answers to a range query, and about the dashboards of its UI.
func TestCurvesAndDashboards(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/prometheus/api/v1/query_range?end=1796040000&query=up&start=1796036400&step=1m0s": `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{"a":"b"},"values":[[1796036400,"1"],[1796036460,"2.5"]]},{"metric":{},"values":[]}]}}`,
		"/vmui/custom-dashboards": `{"dashboardsSettings":[{"title":"Overview","rows":[]},{"title":"Waste","rows":null}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			t.Errorf("unexpected request %s", r.URL)
		}
		io.WriteString(w, answer)
	}))
	defer server.Close()
	s := &Store{URL: server.URL, client: server.Client()}
	end := time.Unix(1796040000, 0)
	curves, err := s.Curves(t.Context(), "up", end.Add(-time.Hour), end, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]float64{{1, 2.5}, nil}, curves); diff != "" {
		t.Errorf("curves (-want +got):\n%s", diff)
	}
	titles, err := s.Dashboards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Overview", "Waste"}, titles); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
}

// FuzzDecodeVector: any response is decoded or is an error.
func FuzzDecodeVector(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":null,"value":null}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		vector, err := decodeVector(body)
		if (vector == nil) == (err == nil) {
			t.Errorf("both a vector and an error, or neither: %v, %v", vector, err)
		}
	})
}
