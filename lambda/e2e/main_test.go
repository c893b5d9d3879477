// Package e2e holds the end-to-end tests. They judge what the function sends by
// what a real Prometheus then answers. They are a module of their own because
// Prometheus is heavy, and the function itself must not depend on it.
package e2e

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the first push of the tests with hand-written series. It lies in the
// past because Prometheus refuses samples of the future by the wall clock.
var start = time.Date(2025, time.June, 2, 9, 0, 0, 0, time.UTC)
