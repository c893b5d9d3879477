package localtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of 127.0.0.1 on which nothing listens. It is below those that systems
// choose from for a connection or for port 0, so that it stays free until a program gets it.
func FreePort(ctx context.Context) (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			return port, listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
