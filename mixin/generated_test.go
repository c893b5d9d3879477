package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

// TestGenerated finds files that differ from what make mixin writes, and files that it no
// longer writes.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what make mixin writes", name)
		}
	}
	for _, pattern := range []string{"dashboards/*", "vmui/*", "rules/*", "tests/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			if _, ok := files["mixin/"+filepath.ToSlash(name)]; !ok {
				t.Errorf("make mixin does not write %s", name)
			}
		}
	}
}

// TestAlerts checks that each alert has a test that fires it and one that must not, a
// summary, a description and a section in docs/runbooks.md.
func TestAlerts(t *testing.T) {
	t.Parallel()
	runbooks, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, group := range source.Alerts() {
		for _, rule := range group.Rules {
			if names[rule.Alert] {
				t.Errorf("two alerts have the name %s", rule.Alert)
			}
			names[rule.Alert] = true
			if rule.Fires.Labels == nil || rule.Silent.Labels != nil || len(rule.Silent.Input) == 0 {
				t.Errorf("%s lacks a test that fires it, or one that must not", rule.Alert)
			}
			for _, text := range []string{"summary", "description"} {
				if rule.Annotations[text] == "" {
					t.Errorf("%s has no %s", rule.Alert, text)
				}
			}
			if !strings.Contains(string(runbooks), "\n### "+rule.Alert+"\n") {
				t.Errorf("docs/runbooks.md has no section %s", rule.Alert)
			}
		}
	}
	for _, name := range []string{
		"CriticalImageVulnerability", "ImageNeverScanned", "ScanFailing", "RepositoryNearImageQuota", "NothingPulledFor90Days",
		"EcrExporterSilent", "EcrDataOld", "EcrChangesLate", "EcrEventsLate", "EcrScansOld", "SeriesRefused", "SeriesDropped",
		"EcrRegistryNotRead", "EcrRegistryNotRun", "EcrTargetsInvalid", "EcrTargetsWaiting", "EcrTargetRateExceeded",
	} {
		if !names[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}
