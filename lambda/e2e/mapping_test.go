package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// mapping is an event source mapping from a FIFO queue to a function, as Lambda's with a batch
// size of 1, a maximum concurrency and ReportBatchItemFailures: each of its pollers has an
// execution environment of its own. A message is deleted if the function succeeds; otherwise
// nothing is done, and the queue shows it again. The real one also scales pollers and
// environments with the load, and hands a message to any idle environment.
type mapping struct {
	queue   *queue
	timeout time.Duration // of the function
	// start starts an environment of a number that no other has.
	start func(ctx context.Context, n int) (*lambdatest.Environment, error)

	mu      sync.Mutex
	started int
	running map[int]*delivery // by environment
	done    []*delivery       // in the order of their ends
	errs    []error
	peak    int64 // the largest peak memory of an environment that has ended, in bytes
}

// delivery is an invocation with a message.
type delivery struct {
	environment    int
	group, message string
	receives       int // of the message so far, with this one
	begin, end     time.Time
	killed         bool
	result         lambdatest.Result

	kill   context.CancelCauseFunc
	exited <-chan struct{} // closed when the environment's process has ended
}

// run starts the pollers and returns what stops them, after the invocations under way.
func (m *mapping) run(t *testing.T, concurrency int) (stop func()) {
	t.Helper()
	m.running = make(map[int]*delivery)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var pollers sync.WaitGroup
	for range concurrency {
		pollers.Go(func() {
			if err := m.poll(ctx); err != nil {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.errs = append(m.errs, err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		pollers.Wait()
		for _, err := range m.errs {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// poll delivers messages, one after the other, until ctx ends.
func (m *mapping) poll(ctx context.Context) error {
	var (
		n           int
		environment *lambdatest.Environment
	)
	closeIt := func() error {
		if environment == nil {
			return nil
		}
		exit, err := environment.Close()
		environment = nil
		m.mu.Lock()
		defer m.mu.Unlock()
		m.peak = max(m.peak, exit.PeakRSS)
		return err
	}
	for ctx.Err() == nil {
		message, err := m.queue.receive(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return errors.Join(err, closeIt())
		}
		if message == nil {
			continue
		}
		if environment == nil {
			m.mu.Lock()
			m.started++
			n = m.started
			m.mu.Unlock()
			if environment, err = m.start(ctx, n); err != nil {
				return fmt.Errorf("start environment %d: %w", n, err)
			}
		}
		// An invocation under way is not interrupted.
		again, err := m.deliver(context.WithoutCancel(ctx), n, environment, message)
		if err != nil {
			return errors.Join(err, closeIt())
		}
		if !again {
			if err := closeIt(); err != nil {
				return err
			}
		}
	}
	return closeIt()
}

// deliver invokes the function with a message, and reports whether its environment can be
// invoked again.
func (m *mapping) deliver(ctx context.Context, n int, environment *lambdatest.Environment, message *types.Message) (again bool, err error) {
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	d := &delivery{
		environment: n, group: message.Attributes["MessageGroupId"], message: *message.Body, kill: kill, exited: environment.Exited(),
	}
	if d.receives, err = strconv.Atoi(message.Attributes["ApproximateReceiveCount"]); err != nil {
		return false, fmt.Errorf("read a message: %w", err)
	}
	payload, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"messageId": *message.MessageId, "receiptHandle": *message.ReceiptHandle, "body": *message.Body, "md5OfBody": *message.MD5OfBody,
		"attributes": message.Attributes, "messageAttributes": map[string]any{},
		"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:" + region + ":" + account + ":targets.fifo", "awsRegion": region,
	}}})
	if err != nil {
		return false, fmt.Errorf("write a batch: %w", err)
	}
	d.begin = time.Now()
	m.mu.Lock()
	m.running[n] = d
	m.mu.Unlock()
	d.result, err = environment.Invoke(ctx, payload, m.timeout)
	d.killed = errors.Is(err, errCrash)
	m.mu.Lock()
	d.end = time.Now()
	delete(m.running, n)
	m.done = append(m.done, d)
	m.mu.Unlock()
	if d.killed {
		return false, nil
	}
	if err != nil && d.result.FunctionError == nil {
		return false, err
	}
	if d.succeeded() {
		return true, m.queue.delete(ctx, message)
	}
	select {
	case <-environment.Exited():
		return false, nil
	default:
		return true, nil
	}
}

// succeeded reports whether the message can be deleted.
func (d *delivery) succeeded() bool {
	if d.killed || d.result.FunctionError != nil {
		return false
	}
	var response struct{ BatchItemFailures []any }
	return json.Unmarshal(d.result.Payload, &response) == nil && len(response.BatchItemFailures) == 0
}

// crash kills the process of an environment that has a delivery under way, as kill -9 does, and
// waits for its end.
func (m *mapping) crash(environment int) {
	m.mu.Lock()
	d := m.running[environment]
	m.mu.Unlock()
	if d != nil {
		d.kill(errCrash)
		<-d.exited
	}
}

// deliveries are those that have ended.
func (m *mapping) deliveries() []*delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*delivery(nil), m.done...)
}
