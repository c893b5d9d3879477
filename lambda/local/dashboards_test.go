//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The dashboards are read, and all have panels with queries.
func TestReadDashboards(t *testing.T) {
	t.Parallel()
	boards, err := readDashboards(filepath.Join("..", "..", "mixin", "vmui"))
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for i := range boards {
		titles = append(titles, boards[i].Title)
		if len(boards[i].panels()) == 0 {
			t.Errorf("%s has no panels", boards[i].Title)
		}
		for _, p := range boards[i].panels() {
			if p.Title == "" || len(p.Expr) == 0 {
				t.Errorf("%s has a panel without title or query: %+v", boards[i].Title, p)
			}
		}
	}
	if diff := cmp.Diff([]string{"Overview", "Vulnerabilities", "Waste", "Exporter"}, titles); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
}

func TestReadNoDashboards(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := readDashboards(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("%v, want an error that names %s", err, folder)
	}
	name := filepath.Join(folder, "a.json")
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readDashboards(folder); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("%v, want an error that names %s", err, name)
	}
}

// A curve has points of most of the hour.
func TestDrawn(t *testing.T) {
	t.Parallel()
	flat := make([]float64, leastPoints)
	rising := make([]float64, leastPoints)
	for i := range rising {
		rising[i] = float64(i)
	}
	got := drawn{title: "Overview"}
	got.add(drawPanel("nothing", nil))
	got.add(drawPanel("three", [][]float64{flat, rising, rising[1:]}))
	want := drawn{title: "Overview", panels: 2, empty: []string{"nothing"}, curves: 2, changing: 1}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(drawn{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
