package e2e

import (
	"path/filepath"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestColdStartFromFile checks that a new execution environment pushes the stored state
// of the previous one at once, without calling ECR.
func TestColdStartFromFile(t *testing.T) {
	t.Parallel()
	registry := generatedRegistry(t, 40, 400)
	want := expectation{registry: registry, durable: true}.series()
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	state := "STATE_URL=file://" + filepath.Join(t.TempDir(), "state")

	warm := startFunction(t, server, prometheus.URL(), scansFromSummary, state)
	checkPushed(t, prometheus, warm.invoke(t, "schedule-rule.json", invocationTimeout), want)
	warm.stop(t)

	server.ResetObserved()
	server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultUnavailable)
	cold := startFunction(t, server, prometheus.URL(), scansFromSummary, state)
	checkPushed(t, prometheus, cold.invoke(t, "schedule-rule.json", invocationTimeout), want)
	if calls := server.Calls(); len(calls) > 0 {
		t.Errorf("the cold start called ECR: %v", calls)
	}
}
