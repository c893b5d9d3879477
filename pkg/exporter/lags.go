package exporter

import (
	"math"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// lags is how late a push that has ended showed changes, at most, in whole seconds by the kind
// of change. While some series are not known to be stored, the changes wait for the next push:
// they are not shown before. What the receiver refuses it never shows, which other families say.
func lags(registry *inventory.Registry, steps *steps, only []string) map[string]int {
	if pushed := &steps.pushed; pushed.Accepted == 0 || pushed.NotSent+pushed.Unconfirmed > 0 {
		return nil
	}
	shown, late := registry.TakeFound(only), map[string]int{}
	for change, since := range map[string]inventory.Time{"push": shown.Pushed, "scan": shown.Scanned, "delete": shown.Deleted} {
		if !since.IsZero() {
			late[change] = int(math.Ceil(max(0, time.Since(since.Time()).Seconds())))
		}
	}
	return late
}
