package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestHostileMemory checks that no response or event, whatever it contains, makes the peak
// memory of the function much larger than that of normal runs: 1.5 times, or 32 MB more where
// that is more. See docs/limits.md.
func TestHostileMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak of resident memory is taken from /proc, which is Linux's")
	}
	if testing.Short() {
		t.Skip("a large registry takes some seconds")
	}
	t.Parallel()
	h := &hostile{registry: ecrtest.NewRegistry(account, region)}
	for n := range 10 {
		addRepository(t, h.registry, fmt.Sprint("team/app-", n), 1000)
	}
	h.aws = ecrtest.Start(t, h.registry)

	normal := h.peak(t, func(f *function) {
		if s := f.invoke(t, "schedule-rule.json", invocationTimeout); s.Refreshed != 10 {
			t.Fatalf("%d repositories were refreshed, want all 10", s.Refreshed)
		}
	})
	limit := max(normal*3/2, normal+32<<20)
	t.Logf("normal: %.1f MB, limit %.1f MB", megabytes(normal), megabytes(limit))
	check := func(t *testing.T, attack func(f *function)) {
		t.Helper()
		peak := h.peak(t, attack)
		t.Logf("%.1f MB", megabytes(peak))
		if peak > limit {
			t.Errorf("peak of resident memory: %d bytes, want at most %d", peak, limit)
		}
	}
	for name, respond := range hostileResponses {
		t.Run(name, func(t *testing.T) {
			check(t, func(f *function) {
				h.respond.Store(&respond)
				defer h.respond.Store(nil)
				if s, failure := f.try(t, "schedule-rule.json", invocationTimeout); failure == nil || s.Errors["refresh"] == "" {
					t.Errorf("the refresh did not fail: %v, %v", failure, s.Errors)
				}
			})
		})
	}
	t.Run("endless response of the receiver", func(t *testing.T) {
		check(t, func(f *function) {
			h.refuse.Store(true)
			defer h.refuse.Store(false)
			if s, failure := f.try(t, "schedule-rule.json", invocationTimeout); failure == nil || s.Errors["push"] == "" {
				t.Errorf("the push did not fail: %v, %v", failure, s.Errors)
			}
		})
	})
	t.Run("events", func(t *testing.T) {
		batch := h.largeEvents(t)
		check(t, func(f *function) {
			result, err := f.Invoke(t.Context(), batch, invocationTimeout)
			if err != nil || result.FunctionError != nil {
				t.Errorf("%v, %v", err, result.FunctionError)
			}
		})
	})
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// hostile is a registry whose API, receiver and events can be hostile.
type hostile struct {
	registry *ecrtest.Registry
	aws      *ecrtest.Server
	respond  atomic.Pointer[func(w http.ResponseWriter, r *http.Request)] // nil: the simulated API does
	refuse   atomic.Bool                                                  // of the receiver
}

// peak makes a normal run and then attack, in a new environment, and returns the peak of its
// resident memory in bytes.
func (h *hostile) peak(t *testing.T, attack func(*function)) int64 {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if respond := h.respond.Load(); respond != nil {
			(*respond)(w, r)
			return
		}
		h.aws.ServeHTTP(w, r)
	}))
	defer api.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.refuse.Load() {
			w.WriteHeader(http.StatusBadRequest)
			endless(w, "x")
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read what was sent: %v", err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	f := startFunction(t, h.aws, receiver.URL, scansFromSummary, "LOG_LEVEL=INFO", "ECR_CONCURRENCY=8", "CACHE_REFRESH_INTERVAL=1s", "REFRESH_BUDGET=10s",
		"REMOTE_WRITE_PROTOCOL=1.0", "AWS_ENDPOINT_URL="+api.URL)
	first := f.invoke(t, "schedule-rule.json", invocationTimeout)
	waitUntilDue(first, time.Second)
	attack(f)
	return f.stop(t)
}

// endless writes a text again and again until the client goes away.
func endless(w http.ResponseWriter, text string) {
	text = strings.Repeat(text, 1+32<<10/len(text))
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// hostileResponses are those to all requests to AWS.
var hostileResponses = map[string]func(w http.ResponseWriter, r *http.Request){
	"endless string": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"repositories":[],"imageDetails":[],"nextToken":"`)
		endless(w, "x")
	},
	"endless error": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "ServerException")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"`)
		endless(w, "x")
	},
	"many objects": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"`+listOf(r)+`":[{}`)
		endless(w, ",{}")
	},
	"many values": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"`+listOf(r)+`":[{"imageTags":["x"`)
		endless(w, `,"x"`)
	},
	"nested lists": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"`+listOf(r)+`":`)
		endless(w, "[")
	},
	"giant pages": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, page(r, 0, 20_000, ""))
	},
	"token cycle": func(w http.ResponseWriter, r *http.Request) {
		n := cycled.Add(1) // every page is another one
		_, _ = io.WriteString(w, page(r, int(n)*1000, 1000, fmt.Sprint("token", n%2)))
	},
}

var cycled atomic.Int64

// listOf is the name of the list in the response to a request.
func listOf(r *http.Request) string {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeRepositories") {
		return "repositories"
	}
	return "imageDetails"
}

// page is a page of n valid records from a number on.
func page(r *http.Request, from, n int, token string) string {
	body, _ := io.ReadAll(r.Body)
	var in struct {
		RepositoryName string `json:"repositoryName"`
	}
	_ = json.Unmarshal(body, &in)
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"nextToken":%q,%q:[`, token, listOf(r))
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		if listOf(r) == "repositories" {
			fmt.Fprintf(&out, `{"repositoryName":"team/hostile-%[1]d","repositoryUri":"%[2]s.dkr.ecr.eu-west-1.amazonaws.com/team/hostile-%[1]d","registryId":"%[2]s"}`, from+i, account)
		} else {
			fmt.Fprintf(&out, `{"registryId":%q,"repositoryName":%q,"imageDigest":%q,"imageTags":["hostile-%d"],"imageSizeInBytes":1}`,
				account, in.RepositoryName, ecrtest.Digest(fmt.Sprint("hostile", from+i)), from+i)
		}
	}
	out.WriteString("]}")
	return out.String()
}

// largeEvents is a batch of 6 MB, the most that Lambda passes on, of events with an image's
// scan that has very many severities, and of such with long texts.
func (h *hostile) largeEvents(t *testing.T) []byte {
	t.Helper()
	const each = 530_000 // bytes, without the quoting of SQS
	event := func(status, counts string) json.RawMessage {
		return fmt.Appendf(nil, `{"version":"0","detail-type":"ECR Image Scan","source":"aws.ecr","account":%q,"region":%q,"time":%q,
			"detail":{"scan-status":%q,"repository-name":"team/app-0","finding-severity-counts":{%s},"image-digest":%q,"image-tags":[]}}`,
			account, region, time.Now().UTC().Format(time.RFC3339), status, counts, ecrtest.Digest("team/app-0:v0"))
	}
	var events []json.RawMessage
	for n := range 5 {
		var counts strings.Builder
		for i := 0; counts.Len() < each; i++ {
			fmt.Fprintf(&counts, `"SEVERITY-%d-%d":1,`, n, i)
		}
		events = append(events, event("COMPLETE", counts.String()+`"LOW":1`), event(strings.Repeat("X", each), `"LOW":1`))
	}
	batch := sqsBatch(t, events...)
	if len(batch) > 6<<20 || len(batch) < 5<<20 {
		t.Fatalf("the batch has %d bytes, want up to 6 MB", len(batch))
	}
	return batch
}
