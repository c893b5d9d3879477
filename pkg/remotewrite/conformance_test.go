package remotewrite_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// rule is a sentence of a specification about senders, and the check for it.
type rule struct {
	// id is the sentence's in testdata/conformance.txt.
	id string
	// sentence is its text, shortened if long.
	sentence string
	// protocol is the sender's setting if it is not the specification's version.
	protocol remotewrite.Protocol
	// batch, if not 0, is the largest number of series in a request of our sender.
	batch int
	// to and answers configure the receiver.
	to      remotewritetest.Options
	answers []remotewritetest.Answer
	// do makes the sender act. If nil, it pushes some series once.
	do func(*scene)
	// check returns what is wrong with the outcome.
	check func(*scene) error
	// wrong is a fault that check must find.
	wrong fault
	// outside, if set, is why the sentence does not apply to this sender. A check then
	// verifies that the sender does nothing of the kind.
	outside string
}

// sender is ours or a byHand.
type sender interface {
	push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) result
	// with returns a sender that sets a custom header, or an error if it is reserved.
	with(name, value string) (sender, error)
}

// result is what a sender reports of a push.
type result struct {
	accepted int
	err      error
}

func (r *result) add(o result) {
	r.accepted += o.accepted
	r.err = errors.Join(r.err, o.err)
}

// scene is a sender, a receiver, and what they exchanged.
type scene struct {
	t        *testing.T
	to       *remotewritetest.Server
	sender   sender
	pushed   int // series
	results  []result
	log      *lines
	messages []*message
}

// firstRun is the timestamp of the first push. Others follow every two minutes.
var firstRun = time.Date(2026, 11, 22, 10, 30, 0, 123_456_789, time.UTC)

// push makes the sender push, with the time until the next push as its deadline.
func (s *scene) push(series iter.Seq[metrics.Series]) { s.pushBy(s.sender, series) }

func (s *scene) pushBy(by sender, series iter.Seq[metrics.Series]) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 40*time.Second)
	defer cancel()
	at := firstRun.Add(time.Duration(len(s.results)) * 2 * time.Minute)
	s.results = append(s.results, by.push(ctx, at, func(yield func(metrics.Series) bool) {
		for one := range series {
			if s.pushed++; !yield(one) {
				return
			}
		}
	}))
}

// accepted is the number of series that the sender reports as delivered.
func (s *scene) accepted() (n int) {
	for _, r := range s.results {
		n += r.accepted
	}
	return n
}

// ours is the sender under test.
type ours struct {
	*remotewrite.Sender
	options remotewrite.Options
}

func newOurs(o remotewrite.Options) (ours, error) {
	s, err := remotewrite.New(o)
	return ours{s, o}, err
}

func (o ours) push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) result {
	report, err := o.Push(ctx, at, series, nil)
	return result{report.Accepted, err}
}

func (o ours) with(name, value string) (sender, error) {
	transport, err := auth.NewHeaders([]auth.Header{{Name: name, Value: text(value)}}, o.options.Client.Transport)
	if err != nil {
		return nil, err
	}
	options := o.options
	options.Client = &http.Client{Transport: transport}
	return newOurs(options)
}

// text is an auth.Secret of a fixed text.
type text string

func (t text) Value(context.Context) (string, error) { return string(t), nil }
func (text) Refused(string)                          {}

// TestConformance: our sender keeps each sentence of both specifications. So does a
// byHand, and the same with one fault does not.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, spec := range []struct {
		protocol remotewrite.Protocol
		rules    []rule
	}{
		{remotewrite.V1, rulesV1()}, {remotewrite.V2, rulesV2()},
	} {
		for _, r := range spec.rules {
			if r.protocol == "" {
				r.protocol = spec.protocol
			}
			t.Run(string(spec.protocol)+" "+r.id+" "+r.sentence, func(t *testing.T) {
				t.Parallel()
				if r.check == nil {
					t.Log("nothing to check: " + r.outside)
					return
				}
				if err := r.play(t, nil); err != nil {
					t.Errorf("our sender: %v", err)
				}
				if err := r.play(t, new(fault)); err != nil {
					t.Errorf("the sender made by hand: %v", err)
				}
				if err := r.play(t, &r.wrong); err != nil {
					t.Logf("the fault is found: %v", err)
				} else {
					t.Error("the check does not find the fault")
				}
			})
		}
	}
}

// play makes a sender, ours or a byHand with that fault, do what the rule says, and
// returns the result of the check.
func (r *rule) play(t *testing.T, f *fault) (err error) {
	synctest.Test(t, func(t *testing.T) {
		options := r.to
		options.KeepBodies, options.ExpectViolations = true, true
		s := &scene{t: t, to: remotewritetest.NewPipe(t, options), log: new(lines)}
		s.to.URL.Path = "/workspaces/ws-1/api/v1/remote_write"
		s.to.Answer(r.answers...)
		client := &http.Client{Transport: s.to.Transport}
		if f != nil {
			s.sender = &byHand{url: s.to.URL, client: client, protocol: r.protocol, log: s.log.logger(), fault: *f}
		} else {
			o, err := newOurs(remotewrite.Options{
				URL: s.to.URL, Client: client, Protocol: r.protocol, Version: "1.2.3", Logger: s.log.logger(), MaxSeries: r.batch,
			})
			if err != nil {
				t.Fatal(err)
			}
			s.sender = o
		}
		if r.do == nil {
			s.push(images(12))
		} else {
			r.do(s)
		}
		s.messages = messagesOf(s.to)
		err = r.check(s)
		if broken := s.to.Violations(); f == nil && len(broken) > 0 {
			err = errors.Join(err, fmt.Errorf("the receiver found %q", broken))
		}
	})
	return err
}

// TestConformanceComplete: every sentence of testdata/conformance.txt has one rule,
// and every rule a sentence.
func TestConformanceComplete(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	keywords := make(map[string]string) // by id
	for in := bufio.NewScanner(file); in.Scan(); {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, "|", 3)
		if len(fields) != 3 || strings.TrimSpace(fields[2]) == "" {
			t.Fatalf("%q: want ID | KEYWORD | what it says", line)
		}
		id := strings.TrimSpace(fields[0])
		if _, twice := keywords[id]; twice {
			t.Errorf("%s is listed twice", id)
		}
		keywords[id] = strings.TrimSpace(fields[1])
	}
	seen := make(map[string]bool)
	sentences := make(map[string]bool)
	for prefix, rules := range map[string][]rule{"1.0#": rulesV1(), "2.0#": rulesV2()} {
		for _, r := range rules {
			keyword, listed := keywords[r.id]
			switch {
			case !strings.HasPrefix(r.id, prefix):
				t.Errorf("%s is in the table of %s", r.id, prefix)
			case !listed:
				t.Errorf("%s is not listed", r.id)
			case seen[r.id]:
				t.Errorf("%s has two rules", r.id)
			case !strings.Contains(r.sentence, keyword):
				t.Errorf("%s: %q has no %s", r.id, r.sentence, keyword)
			case sentences[prefix+r.sentence]:
				t.Errorf("%s: %q is there twice", r.id, r.sentence)
			case r.check == nil && r.outside == "":
				t.Errorf("%s is not checked, and no reason is given", r.id)
			}
			seen[r.id], sentences[prefix+r.sentence] = true, true
		}
	}
	for id := range keywords {
		if !seen[id] {
			t.Errorf("%s has no rule", id)
		}
	}
}

// lines collects the log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// has reports whether a line has an attribute with exactly this text.
func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.buf.Bytes()) {
		var attrs map[string]any
		if json.Unmarshal(line, &attrs) != nil {
			continue
		}
		for _, v := range attrs {
			if v == text {
				return true
			}
		}
	}
	return false
}
