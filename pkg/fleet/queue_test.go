package fleet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// server returns a client of a queue with an address.
func server(t *testing.T, q *queue) *fleet.Queue {
	t.Helper()
	server := httptest.NewServer(q)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	return fleet.NewQueue(aws.Config{
		Region: "eu-north-1", BaseEndpoint: &server.URL, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, server.URL+"/123456789012/ecr-remote-write.fifo", awsapi.NewLimiter(1000))
}

// works are for that many registries, with a label of each of so many bytes.
func works(n, size int) []targets.Work {
	list := make([]targets.Work, n)
	for i := range list {
		list[i] = targets.Work{Slot: time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC), Target: targets.Target{
			Account: fmt.Sprintf("%012d", i), Region: "eu-west-1", Interval: interval, Labels: map[string]string{"text": strings.Repeat("x", size)},
		}}
	}
	return list
}

func TestSend(t *testing.T) {
	t.Parallel()
	refuses := func(group string, times int) func(entry) string {
		return func(e entry) string {
			if times == 0 || !strings.HasPrefix(e.MessageGroupID, group) {
				return ""
			}
			times--
			return "planted"
		}
	}
	throttles := 2
	for name, c := range map[string]struct {
		works   []targets.Work
		refuse  func(entry) string
		respond func(http.ResponseWriter, *http.Request) bool
		sent    int
		batches []int
		want    []string // in the error
	}{
		"none":                      {nil, nil, nil, 0, nil, nil},
		"by tens":                   {works(23, 10), nil, nil, 23, []int{10, 10, 3}, nil},
		"by size":                   {works(5, 100_000), nil, nil, 5, []int{2, 2, 1}, nil},
		"one too large":             {append(works(2, 10), works(1, 300_000)...), nil, nil, 2, []int{2}, []string{"1 of 3", "000000000000/eu-west-1", "262144"}},
		"one refused once":          {works(3, 10), refuses("000000000001", 1), nil, 3, []int{3, 1}, nil},
		"one refused twice":         {works(12, 10), refuses("000000000001", 2), nil, 12, []int{10, 1, 1, 2}, nil},
		"one refused always":        {works(12, 10), refuses("000000000001", -1), nil, 11, []int{10, 1, 1, 2}, []string{"1 of 12", "000000000001/eu-west-1", "InternalError: planted"}},
		"all refused always":        {works(2, 10), refuses("", -1), nil, 0, []int{2, 2, 2}, []string{"2 of 2", "planted"}},
		"an answer without entries": {works(2, 10), nil, answer(http.StatusOK, `{}`), 0, nil, []string{"2 of 2", "incomplete response"}},
		"denied": {
			works(12, 10), nil, answer(http.StatusForbidden, `{"__type":"AccessDeniedException","message":"no"}`), 0, nil,
			[]string{"12 of 12", "permission denied"},
		},
		"throttled twice": {works(2, 10), nil, func(w http.ResponseWriter, r *http.Request) bool {
			throttles--
			return throttles >= 0 && answer(http.StatusBadRequest, `{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}`)(w, r)
		}, 2, []int{2}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &queue{refuse: c.refuse, respond: c.respond}
			sent, err := server(t, q).Send(t.Context(), c.works)
			if sent != c.sent || len(q.entries) != c.sent || !slices.Equal(q.batches, c.batches) {
				t.Errorf("%d sent, the queue has %d, in batches of %v", sent, len(q.entries), q.batches)
			}
			if (err == nil) != (c.want == nil) {
				t.Errorf("%v", err)
			}
			for _, text := range c.want {
				if !strings.Contains(fmt.Sprint(err), text) {
					t.Errorf("%v, want %q in it", err, text)
				}
			}
		})
	}
}

// answer responds to every request alike.
func answer(status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}
