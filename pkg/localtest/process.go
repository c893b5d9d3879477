//go:build unix

package localtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a process that runs until it is stopped, with a temporary folder of its own.
type Process struct {
	name   string // for errors
	Folder string
	// Exited is closed when the process has ended.
	Exited chan struct{}

	cmd   *exec.Cmd
	out   *Output
	grace time.Duration // for stopping
}

// stopTimeout is how long a process may take to end after SIGTERM.
const stopTimeout = 2 * time.Second

// StartProcess starts a process. The command returns its path, arguments and environment,
// given its folder; line is called with each line that the process writes.
func StartProcess(name string, line func([]byte), command func(folder string) (*exec.Cmd, error)) (*Process, error) {
	folder, err := os.MkdirTemp("", "ecr-remote-write-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", name, err)
	}
	p := &Process{name: name, Folder: folder, Exited: make(chan struct{}), out: &Output{Line: line}, grace: stopTimeout}
	if p.cmd, err = command(folder); err == nil {
		p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
		p.cmd.WaitDelay = stopTimeout
		// Ctrl-C at a terminal signals the whole process group. What was started first has to
		// end last, because others use it until then.
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), os.RemoveAll(folder))
	}
	go func() {
		defer close(p.Exited)
		_ = p.cmd.Wait() // the result is in ProcessState
	}()
	return p, nil
}

// Await waits until the process serves, which serving reports.
func (p *Process) Await(ctx context.Context, serving <-chan struct{}, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-serving:
		return nil
	case <-p.Exited:
		return fmt.Errorf("start %s: %w", p.name, p.Ended())
	case <-timer.C:
		return fmt.Errorf("start %s: it does not serve after %s; it wrote:\n%s", p.name, timeout, p.out)
	case <-ctx.Done():
		return fmt.Errorf("start %s: %w", p.name, context.Cause(ctx))
	}
}

// Wait waits until the process has ended by itself. The error is that it failed.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.name, context.Cause(ctx))
	}
	if !p.cmd.ProcessState.Success() {
		return p.Ended()
	}
	return nil
}

// Ended is the error that the process has ended by itself. It may be called only after
// Exited is closed.
func (p *Process) Ended() error {
	return fmt.Errorf("%s ended: %s; it wrote:\n%s", p.name, p.cmd.ProcessState, p.out)
}

// ID is the process id.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Output is the end of what the process wrote.
func (p *Process) Output() string { return p.out.String() }

// Stop stops the process, kills it after the grace period, and removes its folder.
func (p *Process) Stop() error {
	// The error is that the process has ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case <-p.Exited:
	case <-timer.C:
		_ = p.cmd.Process.Kill() // as above
		<-p.Exited
	}
	if err := os.RemoveAll(p.Folder); err != nil {
		return fmt.Errorf("remove the folder of %s: %w", p.name, err)
	}
	return nil
}
