//go:build unix

package lambdatest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
)

// memory records the peak memory of a process.
//
// The kernel's value at the end, ru_maxrss, is wrong on Linux: until exec a child shares
// its parent's memory, which is counted. With a test of 300 MB a function of 10 MB would
// have 300 MB. VmHWM of proc_pid_status(5) is reset by exec, but exists only as long as the
// process, so it is sampled.
type memory struct {
	pid  atomic.Int64 // 0 until the process has started
	peak atomic.Int64 // bytes
}

// sample reads the peak so far. The process must be running.
func (m *memory) sample() {
	pid := m.pid.Load()
	if pid == 0 {
		return
	}
	// VmHWM only grows.
	if hwm := vmHWM(pid); hwm > m.peak.Load() {
		m.peak.Store(hwm)
	}
}

// atEnd is the peak of a process that has ended: the largest sample, or ru_maxrss without
// one (no /proc, or no request for an event).
func (m *memory) atEnd(s *os.ProcessState) int64 {
	if peak := m.peak.Load(); peak > 0 {
		return peak
	}
	usage, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss) //nolint:unconvert // not int64 on every system
	}
	return int64(usage.Maxrss) << 10 //nolint:unconvert // not int64 on every system
}

// vmHWM reads a process's peak resident set size in bytes; 0 if it is unknown.
func vmHWM(pid int64) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
