//go:build unix

package remotewritetest

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"
)

// NewRefused reserves a free port of 127.0.0.1 that refuses connections until listen is
// called, which starts a Proxy there, as NewProxy does. No other program can get the
// port in between. Everything is closed when the test ends.
func NewRefused(tb testing.TB, to *url.URL) (at *url.URL, listen func() *Proxy) {
	tb.Helper()
	// A port refuses connections and is not free if a socket is bound to it and does not
	// listen. The net package has no such state.
	socket, address, err := bindLoopback()
	if err != nil {
		tb.Fatalf("reserve a port: %v", err)
	}
	file := os.NewFile(uintptr(socket), "reserved port")
	tb.Cleanup(func() { _ = file.Close() })
	u := *to
	u.Host = address.String()
	return &u, sync.OnceValue(func() *Proxy {
		if err := syscall.Listen(socket, 128); err != nil {
			tb.Errorf("listen on %s: %v", address, err)
			return nil
		}
		listener, err := net.FileListener(file) // duplicates the socket
		if err != nil {
			tb.Errorf("listen on %s: %v", address, err)
			return nil
		}
		return startProxy(tb, to, listener)
	})
}

func bindLoopback() (socket int, address netip.AddrPort, err error) {
	syscall.ForkLock.RLock()
	socket, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, address, fmt.Errorf("make a socket: %w", err)
	}
	loopback := [4]byte{127, 0, 0, 1}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: loopback}); err != nil {
		_ = syscall.Close(socket)
		return 0, address, fmt.Errorf("bind a socket: %w", err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		_ = syscall.Close(socket)
		return 0, address, fmt.Errorf("ask for the port: %w", err)
	}
	port := bound.(*syscall.SockaddrInet4).Port //nolint:errcheck,forcetypeassert // as the socket was made
	return socket, netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(port)), nil
}
