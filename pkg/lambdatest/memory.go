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

// memory keeps the most memory that a process was seen to have had.
//
// The kernel's own account at the end, ru_maxrss, will not do on Linux: until exec
// a child shares its parent's memory, and exec counts that too. A test that holds
// 300 MB would see 300 MB for a function of ten. VmHWM of proc_pid_status(5) starts
// anew with exec, but is there only as long as the process: hence sampling.
type memory struct {
	pid  atomic.Int64 // 0 until the process has started
	peak atomic.Int64 // bytes
}

// sample looks once more. It is for moments when the process is known to live.
func (m *memory) sample() {
	pid := m.pid.Load()
	if pid == 0 {
		return
	}
	// VmHWM only grows, and a sample that comes late can only miss a little.
	if hwm := vmHWM(pid); hwm > m.peak.Load() {
		m.peak.Store(hwm)
	}
}

// atEnd is the peak of a process that has ended: the best sample, or where there
// is none (no /proc, or a process that never asked for anything) ru_maxrss.
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

// vmHWM reads a process's peak resident set size in bytes; 0 when it cannot be told.
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
