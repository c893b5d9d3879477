package main

import (
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

func TestVMUIExpr(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`sum(a{registry_id=~"$registry", region=~"$region", name=~"$repository"})`:  `sum(a)`,
		`a{state="untagged", registry_id=~"$registry", region=~"$region"}`:          `a{state="untagged"}`,
		`a{registry_id=~"$registry", scan_on_push="false", region=~"$region"}`:      `a{scan_on_push="false"}`,
		`{__name__=~"a|b", cluster=~"$cluster"}`:                                    `{__name__=~"a|b"}`,
		`topk(10, sum by (name) (max_over_time(a{name=~"$repository"}[$__range])))`: `topk_last(10, sum by (name) (a))`,
		`bottomk(3, delta(a[$__range]))`:                                            `bottomk_last(3, delta(a[1h]))`,
	} {
		if got := vmuiExpr(expr); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
	got := vmuiExpr(`count(ecr:running_findings:max{severity=~"$severity", cluster=~"$cluster"})`)
	if !strings.HasPrefix(got, "count((label_set(max without (pod) (") || !strings.Contains(got, `"severity", "LOW"))`) {
		t.Errorf("the recording rules are not in %s", got)
	}
}

// A dashboard has every panel of which there can be curves, and no variable.
func TestVMUI(t *testing.T) {
	t.Parallel()
	for _, d := range source.Dashboards() {
		got := map[string]bool{}
		for _, row := range vmui(d).Rows {
			if len(row.Panels) == 0 {
				t.Errorf("%s: the row %s is empty", d.Title, row.Title)
			}
			for _, p := range row.Panels {
				got[p.Title] = true
				// What is left are groups of regular expressions.
				if text := strings.ReplaceAll(strings.Join(p.Expr, "\n"), `"$1"`, ""); strings.Contains(text, "$") {
					t.Errorf("%s: %s has a variable: %s", d.Title, p.Title, text)
				}
				if len(p.Alias) != len(p.Expr) {
					t.Errorf("%s: %s has %d aliases of %d queries", d.Title, p.Title, len(p.Alias), len(p.Expr))
				}
			}
		}
		for _, p := range d.Panels {
			if want := len(p.Hide) == 0; got[p.Title] != want {
				t.Errorf("%s: the panel %s is there: %t, want %t", d.Title, p.Title, got[p.Title], want)
			}
		}
	}
}
