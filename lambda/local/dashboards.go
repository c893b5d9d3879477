//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// dashboard is a file of vmui's own format, as far as it is read here.
//
// See https://github.com/VictoriaMetrics/VictoriaMetrics/tree/master/app/vmui#predefined-dashboards.
type dashboard struct {
	file  string
	Title string `json:"title"`
	Rows  []struct {
		Panels []panel `json:"panels"`
	} `json:"rows"`
}

type panel struct {
	Title string   `json:"title"`
	Expr  []string `json:"expr"`
}

// panels are those of all rows.
func (d *dashboard) panels() []panel {
	var all []panel
	for _, row := range d.Rows {
		all = append(all, row.Panels...)
	}
	return all
}

// readDashboards reads the dashboards in a folder.
func readDashboards(folder string) ([]dashboard, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("find the dashboards in %s: %w", folder, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no dashboards in %s", folder)
	}
	boards := make([]dashboard, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a dashboard: %w", err)
		}
		boards[i].file = name
		if err := json.Unmarshal(text, &boards[i]); err != nil {
			return nil, fmt.Errorf("read the dashboard %s: %w", name, err)
		}
	}
	return boards, nil
}

// drawn is what a dashboard shows of the past hour.
type drawn struct {
	title            string
	panels, empty    int
	curves, changing int // changing are those with several values
}

// leastPoints is how many of the pushes of the past hour a curve covers.
const leastPoints = 20

// add counts the curves of a panel.
func (d *drawn) add(panel [][]float64) {
	d.panels++
	if len(panel) == 0 {
		d.empty++
	}
	for _, curve := range panel {
		if len(curve) < leastPoints {
			continue
		}
		d.curves++
		if slices.Min(curve) != slices.Max(curve) {
			d.changing++
		}
	}
}

// checkDashboards checks that the UI has the dashboards and, if there is a past, that each
// of them shows curves that change in the hour up to a time.
func (s *session) checkDashboards(ctx context.Context, at time.Time) error {
	served, err := s.store.Dashboards(ctx)
	if err != nil {
		return err
	}
	var all []drawn
	for i := range s.boards {
		b := &s.boards[i]
		if !slices.Contains(served, b.Title) {
			return fmt.Errorf("the UI does not have the dashboard %s, but %q", b.Title, served)
		}
		d := drawn{title: b.Title}
		for _, p := range b.panels() {
			var curves [][]float64
			for _, promQL := range p.Expr {
				more, err := s.store.Curves(ctx, promQL, at.Add(-time.Hour), at, time.Minute)
				if err != nil {
					return fmt.Errorf("the panel %s of %s: %w", p.Title, b.Title, err)
				}
				curves = append(curves, more...)
			}
			d.add(curves)
		}
		if s.past.pushes > 0 && d.changing == 0 {
			return fmt.Errorf("the dashboard %s shows no curve of the past hour: %+v", b.Title, d)
		}
		all = append(all, d)
	}
	writeDrawn(s.stdout, all)
	return nil
}
