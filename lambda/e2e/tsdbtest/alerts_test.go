package tsdbtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ruleFile = `
groups:
- name: g
  rules:
  - alert: High
    expr: a > 1
    for: 2m
    labels: {severity: warning}
    annotations: {summary: '{{ $labels.name }} is at {{ $value }}'}
`

func writeRules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	alerts, err := p.LoadAlerts(writeRules(t, ruleFile))
	if err != nil {
		t.Fatal(err)
	}

	high := func(at time.Time, value float64, text string, firing bool) []Alert {
		return []Alert{{
			Labels:      map[string]string{"alertname": "High", "name": "x", "severity": "warning"},
			Annotations: map[string]string{"summary": "x is at " + text},
			Firing:      firing,
			Value:       value,
			ActiveAt:    at,
		}}
	}
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	steps := []struct {
		value float64
		want  []Alert
	}{
		0: {1, []Alert{}},
		1: {2, high(minute(1), 2, "2", false)},
		2: {1, []Alert{}}, // the time starts anew
		3: {3, high(minute(3), 3, "3", false)},
		4: {3, high(minute(3), 3, "3", false)},
		5: {4, high(minute(3), 4, "4", true)},
		6: {1, []Alert{}},
	}
	for i, step := range steps {
		if err := p.Append(t.Context(), minute(i), series(step.value, "a", "name", "x")); err != nil {
			t.Fatal(err)
		}
		got, err := alerts.Eval(t.Context(), minute(i))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("alerts after %d minutes (-want +got):\n%s", i, diff)
		}
	}
	wantLive(t, p, minute(6), Vector{`a{name="x"}`: 1})
}

func TestLoadAlertsRefuses(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	tests := map[string]struct{ text, want string }{
		"expression": {strings.Replace(ruleFile, "a > 1", "a >", 1), "parse"},
		"field":      {strings.Replace(ruleFile, "for:", "fore:", 1), "fore"},
		"template":   {strings.Replace(ruleFile, "$value", "$val", 1), "$val"},
		"recording":  {"groups: [{name: g, rules: [{record: b, expr: a}]}]", "b is not an alerting rule"},
	}
	for name, test := range tests {
		if _, err := p.LoadAlerts(writeRules(t, test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
	if _, err := p.LoadAlerts(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a missing file gave no error")
	}
}

func TestAlertThatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	alerts, err := p.LoadAlerts(writeRules(t, `
groups:
- name: g
  rules:
  - {alert: Broken, expr: a * on (name) b}
  - {alert: Fine, expr: a > 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	err = p.Append(t.Context(), start,
		series(2, "a", "name", "x"), series(2, "b", "name", "x", "n", "1"), series(2, "b", "name", "x", "n", "2"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := alerts.Eval(t.Context(), start)
	if err == nil || !strings.Contains(err.Error(), "evaluate alert Broken") {
		t.Errorf("error %v, want one about Broken", err)
	}
	if len(got) != 1 || got[0].Labels["alertname"] != "Fine" || !got[0].Firing {
		t.Errorf("alerts %v, want Fine, firing", got)
	}
}
