//go:build unix

package lambdatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopGrace is the time between SIGTERM and SIGKILL, as in Lambda's shutdown phase.
const stopGrace = 2 * time.Second

// Environment is one execution environment: a process and its Runtime API. Its methods may
// be called concurrently; invocations run one after the other.
type Environment struct {
	function Function
	cmd      *exec.Cmd
	api      *api
	memory   *memory
	server   *http.Server
	served   chan struct{} // closed when server has stopped

	initDuration time.Duration

	turn    chan struct{} // holds a token while an invocation runs
	waiting *nextRequest  // the open request for an event; owned by the holder of turn

	exited  chan struct{} // closed when exit is set
	exit    Exit
	waitErr error // of reading the output

	closeOnce sync.Once
	closeErr  error
}

// Start starts the function's process and waits until it requests its first event. ctx
// bounds that wait, not the life of the process. The environment must be closed.
//
// The error is a *FunctionError if the function reports a failed initialisation, an
// *ExitError if it ends before it requests an event, and a *FunctionError of type
// TypeTimedOut if it does not within Function.InitTimeout.
func Start(ctx context.Context, f Function) (*Environment, error) {
	f, err := f.withDefaults()
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	e := &Environment{
		function: f,
		memory:   new(memory),
		served:   make(chan struct{}),
		turn:     make(chan struct{}, 1),
		exited:   make(chan struct{}),
	}
	// Not CommandContext: ctx bounds only the start of the process.
	e.cmd = exec.Command(f.Path, f.Args...)
	e.cmd.Dir = filepath.Dir(f.Path)
	e.cmd.Env = f.environ(listener.Addr().String())
	e.cmd.Stdout, e.cmd.Stderr = f.Output, f.Output
	// A child of the process could keep the output open.
	e.cmd.WaitDelay = stopGrace
	// Ctrl-C at a terminal signals the whole process group. The function must not get it,
	// because its caller decides when it stops. If the caller is killed, the open request
	// for an event fails and the runtime ends by itself.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	e.api = newAPI(f.arn(), e.memory.sample, e.exited)
	e.server = &http.Server{Handler: e.api.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(e.served)
		_ = e.server.Serve(listener) // always ErrServerClosed: Close ends it
	}()

	started := time.Now()
	if err := e.cmd.Start(); err != nil {
		close(e.exited)
		return nil, errors.Join(fmt.Errorf("start the function: %w", err), e.stopServer())
	}
	e.memory.pid.Store(int64(e.cmd.Process.Pid))
	go e.wait()
	if err := e.awaitInit(ctx, started); err != nil {
		_, closeErr := e.Close()
		return nil, errors.Join(fmt.Errorf("initialise %s: %w", f.Path, err), closeErr)
	}
	return e, nil
}

// wait waits for the end of the process.
func (e *Environment) wait() {
	err := e.cmd.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		e.waitErr = err
	}
	e.exit = Exit{State: e.cmd.ProcessState, PeakRSS: e.memory.atEnd(e.cmd.ProcessState)}
	close(e.exited)
}

func (e *Environment) awaitInit(ctx context.Context, started time.Time) error {
	timer := time.NewTimer(e.function.InitTimeout)
	defer timer.Stop()
	select {
	case e.waiting = <-e.api.requests:
		e.initDuration = e.waiting.at.Sub(started)
		return nil
	case err := <-e.api.initErrors:
		return err
	case <-e.exited:
		select { // the process may have reported an error before it ended
		case err := <-e.api.initErrors:
			return err
		default:
			return &ExitError{During: "init", Exit: e.exit}
		}
	case <-timer.C:
		return &FunctionError{Type: TypeTimedOut, Message: fmt.Sprintf("no request for an event within %s", e.function.InitTimeout)}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// InitDuration is the time from the start of the process to its first request for an
// event: what a cold start adds to the first invocation.
func (e *Environment) InitDuration() time.Duration { return e.initDuration }

// Exited is closed when the process has ended.
func (e *Environment) Exited() <-chan struct{} { return e.exited }

// Close stops the process, with SIGTERM and after two seconds with SIGKILL, and the
// Runtime API. It returns how the process ended, now or earlier. The error is about
// stopping, not about the exit status. Further calls return the same.
func (e *Environment) Close() (Exit, error) {
	e.closeOnce.Do(func() {
		e.memory.sample()
		// The error is that the process has ended already.
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-e.exited:
		case <-timer.C:
			e.kill()
		}
		e.closeErr = e.stopServer()
		if e.waitErr != nil {
			e.closeErr = errors.Join(e.closeErr, fmt.Errorf("read the function's output: %w", e.waitErr))
		}
	})
	return e.exit, e.closeErr
}

// kill kills the process, as Lambda does at the deadline, and waits for its end.
func (e *Environment) kill() {
	e.memory.sample()
	_ = e.cmd.Process.Kill() // fails only if it has ended already
	<-e.exited
}

// stopServer stops the Runtime API. The process has ended, so Shutdown only waits until the
// handlers have noticed that.
func (e *Environment) stopServer() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("stop the Runtime API: %w", errors.Join(err, e.server.Close()))
	}
	<-e.served
	return err
}
