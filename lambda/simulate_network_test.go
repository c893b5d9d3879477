package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// errKilled is what the goroutines of a killed environment get for each request. No client
// repeats it.
type errKilled struct{}

func (errKilled) Error() string        { return "the environment was killed" }
func (errKilled) RetryableError() bool { return false }
func (errKilled) Permanent() bool      { return true }

// chance returns a number in [0, 1) that depends only on the seed and the arguments.
func (s *simulation) chance(args ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, s.seed)
	for _, arg := range args {
		fmt.Fprint(h, "/", arg)
	}
	x := h.Sum64() // FNV mixes the last bytes too little
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// RoundTrip carries a request of the environment's function: it meets the faults of the time,
// takes a while, and can be where the environment is killed.
func (e *environment) RoundTrip(r *http.Request) (*http.Response, error) {
	s := e.s
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.invocation
	if e.dead || inv == nil || inv.killed {
		if !e.dead && (inv == nil || !inv.killed) {
			s.find(ruleDeadline, "request outside an invocation", "%s %s", req.service, req.operation)
		}
		return nil, errKilled{}
	}
	inv.seen[req.service]++
	req.n = inv.seen[req.service]
	key := req.service + req.operation + req.repository
	inv.seen[key]++
	if req.service == serviceECR {
		inv.calls[req.operation]++
	}
	req.id = []any{inv.n, key, inv.seen[key]}
	if time.Now().After(inv.deadline) {
		s.find(ruleDeadline, "deadline", "%s %s begins after the deadline of invocation %d", req.service, req.operation, inv.n)
	}
	if s.crashes(req, false) {
		return nil, errKilled{}
	}
	held := s.align(inv, req, key)
	if deadline, ok := r.Context().Deadline(); ok && time.Until(deadline) >= remotewrite.DefaultTimeout {
		req.held = held // its own timeout, which began with it
	}
	if err := s.sleep(r.Context(), held); err != nil {
		return nil, err
	}
	req.fault = s.faultOf(req)
	if req.fault != "" {
		inv.failed[req.service]++
		s.totals.faults++
	}
	latency := time.Duration(1+int(s.chance("latency", req.id)*5)) * 10 * time.Millisecond
	if req.fault == "slow" {
		latency += 3 * time.Second
	}
	if err := s.sleep(r.Context(), latency); err != nil {
		return nil, err
	}
	if inv.killed {
		return nil, errKilled{}
	}
	var resp *http.Response
	switch req.service {
	case serviceECR:
		resp, err = s.respondAWS(req)
	case serviceS3:
		resp, err = s.respondS3(req)
	default:
		resp, err = s.respondReceiver(inv, req)
	}
	if s.crashes(req, true) || inv.killed {
		return nil, errKilled{}
	}
	inv.observe(req, key, resp)
	s.settle(inv, req, key)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// retry is how requests of one kind failed: attempts of one call in a row, and pauses in a
// row after which state reads or writes the object again. at is when the last one failed.
type retry struct {
	attempts, pauses int
	at               time.Time
	soon             bool // the next one follows a pause
}

// observe counts what is repeated, and remembers whether the state was saved.
func (inv *invocation) observe(req *request, key string, resp *http.Response) {
	failed := resp == nil || resp.StatusCode >= 400 || req.service == serviceECR && req.fault != ""
	soon := req.service == serviceS3 && (req.fault == "truncated" || resp != nil && (resp.StatusCode == 409 || resp.StatusCode == 412 || resp.StatusCode == 404))
	if req.service == serviceS3 && req.Method == http.MethodPut {
		inv.saveFailed = inv.saveFailed || failed
		inv.saved = inv.saved || !failed
	}
	r := inv.retries[key]
	switch {
	case soon:
		inv.retries[key] = retry{0, r.pauses + 1, time.Now(), true}
	case failed:
		inv.retries[key] = retry{r.attempts + 1, r.pauses, time.Now(), false}
	default:
		delete(inv.retries, key)
	}
}

// longest is the longest wait after the failures so far, and least the shortest.
func (r retry) longest(service string) (longest, least time.Duration) {
	switch {
	case service == serviceReceiver: // remotewrite's backoff
		longest = min(5*time.Second, 30*time.Millisecond<<min(r.attempts-1, 10))
		return longest, longest / 2
	case r.soon: // state's pause
		return min(time.Second, 20*time.Millisecond<<min(r.pauses, 10)), 0
	}
	longest = min(5*time.Second, 100*time.Millisecond<<min(r.attempts, 10)) // awsapi's backoff
	least = longest / 2
	if service == serviceS3 {
		longest += 350 * time.Millisecond // of the rate limit, as far as throttling lowers it
	}
	return longest, least
}

// The function's waits have jitter, which no seed determines. Two corrections keep it from
// making a difference while there is one request at a time.

// align returns how long a repeated request is held back: until the longest that the wait
// before it can have been, and every request until a multiple of 10 ms.
func (s *simulation) align(inv *invocation, req *request, key string) time.Duration {
	now := time.Now()
	if r, repeated := inv.retries[key]; repeated {
		longest, least := r.longest(req.service)
		switch waited := now.Sub(r.at); {
		case waited < least || waited > longest+10*time.Second:
			delete(inv.retries, key) // not a repetition
		case waited < longest:
			now = r.at.Add(longest)
		}
	}
	const grid = 10 * time.Millisecond
	return time.Until(now) + (grid-now.Sub(s.begin)%grid)%grid
}

// settle delays a failure of the receiver if the jitter of the next wait would decide
// whether it ends before the push has to: until no wait would.
func (s *simulation) settle(inv *invocation, req *request, key string) {
	r, failed := inv.retries[key]
	if !failed || req.service != serviceReceiver {
		return
	}
	longest, least := r.longest(req.service)
	for _, stop := range []time.Time{inv.deadline.Add(-pushLeaves), inv.deadline.Add(-reportLeaves)} {
		if left := time.Until(stop); left > least-50*time.Millisecond && left <= longest+50*time.Millisecond {
			_ = s.sleep(context.Background(), left-least+50*time.Millisecond)
		}
	}
}

// What the push of the series, and that of the run metrics, leave of an invocation.
const (
	pushLeaves   = 3 * time.Second
	reportLeaves = 500 * time.Millisecond
)

// sleep waits without the lock.
func (s *simulation) sleep(ctx context.Context, d time.Duration) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hang waits until the client gives up, which is as late as if it had not been held back.
func (s *simulation) hang(req *request) error {
	s.mu.Unlock()
	<-req.Context().Done()
	s.mu.Lock()
	_ = s.sleep(context.Background(), req.held)
	return req.Context().Err()
}

// crashes kills the invocation if this is the planned point.
func (s *simulation) crashes(req *request, after bool) bool {
	inv := s.invocation
	if inv == nil || inv.kill == nil || inv.killed || *inv.kill != (crash{req.service, req.n, after}) {
		return false
	}
	s.logf("  killed %s request %d to %s (%s)", map[bool]string{false: "before", true: "after"}[after], req.n, req.service, req.operation)
	inv.killed = true
	if s.settings.file {
		inv.files = s.readState()
	}
	s.environment.dead = true
	inv.cancel()
	return true
}

// faultOf returns the fault that a request meets, empty if none.
func (s *simulation) faultOf(req *request) string {
	if s.calm {
		return ""
	}
	at := time.Since(s.begin)
	for i, w := range s.windows {
		if w.service != req.service || at < w.from || at >= w.to || w.operation != "" && w.operation != req.operation ||
			w.repository != "" && w.service == serviceECR && w.repository != req.repository {
			continue
		}
		if s.chance("fault", i, req.id) < w.probability {
			return w.fault
		}
	}
	return ""
}

// respondS3 responds for S3.
func (s *simulation) respondS3(req *request) (*http.Response, error) {
	switch req.fault {
	case "SlowDown":
		return s3Error(http.StatusServiceUnavailable, "SlowDown").Result(), nil
	case "500":
		return s3Error(http.StatusInternalServerError, "InternalError").Result(), nil
	case "denied":
		return s3Error(http.StatusForbidden, "AccessDenied").Result(), nil
	case "hang":
		return nil, s.hang(req)
	}
	w := s.s3.serve(req.Request, req.body)
	resp := w.Result()
	if req.fault == "stored without response" && req.Method != http.MethodGet {
		return nil, s.hang(req)
	}
	if req.fault == "truncated" && req.Method == http.MethodGet && resp.StatusCode == http.StatusOK {
		half := w.Body.Bytes()[:w.Body.Len()/2]
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(half), broken{}))
	}
	return resp, nil
}

// broken is the rest of a body whose connection broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// faultsOfAWS are those that the simulated API injects itself.
var faultsOfAWS = map[string]ecrtest.Fault{
	"throttled": ecrtest.FaultThrottling, "500": ecrtest.FaultServer, "503": ecrtest.FaultUnavailable,
	"reset": ecrtest.FaultReset, "truncated": ecrtest.FaultTruncated, "garbage": ecrtest.FaultGarbage,
	"denied": {Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "not authorized"},
}

// emptyResponses are responses of status 200 that say nothing.
var emptyResponses = map[string][]string{
	"DescribeRepositories":      {`{}`, `{"repositories":null}`, `{"imageDetails":[]}`, `{"repositories":[]}`},
	"DescribeImages":            {`{}`, `{"imageDetails":null}`, `{"repositories":[]}`, `{"imageDetails":[{}]}`},
	"DescribeImageScanFindings": {`{}`},
	"ListCoverage":              {`{}`},
	"ListFindingAggregations":   {`{}`},
}

// respondAWS responds for ECR and Inspector.
func (s *simulation) respondAWS(req *request) (*http.Response, error) {
	match := ecrtest.Match{Operation: req.operation}
	switch fault, injected := faultsOfAWS[req.fault]; {
	case req.fault == "hang":
		return nil, s.hang(req)
	case req.fault == "empty" && emptyResponses[req.operation] != nil:
		bodies := emptyResponses[req.operation]
		body := bodies[int(s.chance("body", req.id)*float64(len(bodies)))]
		if s.emptied && body == `{"repositories":[]}` {
			body = `{}` // a second list that says the same is believed
		}
		s.saidNothing = true
		s.emptied = body == `{"repositories":[]}`
		if req.operation == "DescribeImageScanFindings" {
			s.emptiedScans[req.repository] = true
		}
		s.logf("  %s %s gets %s", req.operation, req.repository, body)
		s.aws.Fail(match, 1, ecrtest.Fault{Body: body})
	case injected:
		s.aws.Fail(match, 1, fault)
	default:
		if req.operation == "DescribeRepositories" {
			s.watch.lists(req)
			s.emptied = false
		}
		if req.operation == "DescribeImages" {
			s.checkListing(req)
		}
	}
	if req.fault == "denied" && req.operation == "DescribeImages" {
		s.denied[req.repository] = time.Now()
	}
	if req.fault == "denied" && req.operation == "DescribeImageScanFindings" {
		s.deniedScans[req.repository] = true
	}
	return answered(s.aws, req)
}
