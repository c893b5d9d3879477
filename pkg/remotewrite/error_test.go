package remotewrite

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// errorKeeper is a log that reads the errors it is given only later, as one that
// writes in the background does.
type errorKeeper struct {
	slog.Handler
	mu     sync.Mutex
	errors []error
}

func (k *errorKeeper) Enabled(context.Context, slog.Level) bool { return true }

func (k *errorKeeper) Handle(_ context.Context, r slog.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			k.errors = append(k.errors, err)
		}
		return true
	})
	return nil
}

// TestLoggedErrorStays: an error that was handed to the log is not added to when
// further batches fail in the same way. The log reads it while they do.
func TestLoggedErrorStays(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	for range 50 {
		to.Answer(remotewritetest.Answer{Status: http.StatusBadRequest, Body: "out of order"})
	}
	keeper := &errorKeeper{Handler: slog.DiscardHandler}
	s := newSender(t, to, func(o *Options) { o.MaxSeries, o.Logger = 1, slog.New(keeper) })
	report, err := pushTo(t, s, images(50))

	var sum *PushError
	if !errors.As(err, &sum) || len(sum.Deliveries) != 1 || sum.Deliveries[0].Series != 50 {
		t.Fatalf("%+v, %v; want all in one error", report, err)
	}
	if len(keeper.errors) != 1 {
		t.Fatalf("logged %v, want one error", keeper.errors)
	}
	var logged *DeliveryError
	if !errors.As(keeper.errors[0], &logged) || logged.Series != 1 {
		t.Errorf("the logged error became %+v, want that of the first series", keeper.errors[0])
	}
}
