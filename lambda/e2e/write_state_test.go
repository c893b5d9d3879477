package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestWriteState lets a program write a state for pkg/inventory/testdata/states, as its README
// says: of a small registry with something of everything, and of changes since.
func TestWriteState(t *testing.T) {
	program, folder := os.Getenv("E2E_PROGRAM"), os.Getenv("E2E_STATE")
	if program == "" || folder == "" {
		t.Skip("E2E_PROGRAM and E2E_STATE are not set")
	}
	r := &trackedRegistry{registryOf(t, ecrtest.RealisticShape(2, 3, time.Now().Add(-time.Hour))), map[string]*ecrtest.ScanState{}}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(r.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}))
	check(r.SetPullTimeExclusions(functionRole))
	check(r.SetCacheRules(ecrtest.CacheRule{Prefix: "hub", Upstream: "docker-hub", URL: "registry-1.docker.io"}))
	r.SetReplication(ecrtest.ReplicationRule{Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-3", RegistryID: account}}})
	for _, repository := range r.Repositories() { // ECR's pull times are whole seconds
		for _, image := range r.Images(repository.Name) {
			check(r.UpdateImage(repository.Name, image.Digest, func(image *ecrtest.Image) { image.PulledAt = image.PulledAt.Truncate(time.Second) }))
		}
	}
	addRepository(t, r.Registry, busyRepository, 3)
	addRepository(t, r.Registry, "payments/worker", 2)
	settings := append([]string{fastScans, "STATE_URL=file://" + filepath.Join(folder, "inventory"), "EXTERNAL_LABELS=cluster=a,stage=prod"}, everyFamily...)
	f := startProgram(t, program, ecrtest.Start(t, r.Registry), tsdbtest.Start(t, tsdbtest.Options{}).URL(), settings...)
	f.invoke(t, "schedule-rule.json", invocationTimeout)
	f.deliver(t, r.PushEvent(busyRepository, r.push(t, busyRepository, "v9"), "v9", time.Now()))
	f.deliver(t, r.scanned(t, busyRepository, tagged(t, r, busyRepository, "v9"), map[string]int32{"CRITICAL": 1, "LOW": 3}))
	digest := tagged(t, r, busyRepository, "v0")
	check(r.DeleteImage(busyRepository, digest))
	f.deliver(t, r.DeleteEvent(busyRepository, digest, "v0", time.Now()))
	digest = tagged(t, r, "payments/worker", "v1")
	r.DeleteRepository("payments/worker")
	f.deliver(t, r.DeleteEvent("payments/worker", digest, "v1", time.Now()))
	f.stop(t)
}
