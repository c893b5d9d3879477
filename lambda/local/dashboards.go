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

// drawn is what a panel, or a dashboard, shows of the past hour.
type drawn struct {
	title            string
	panels           int
	empty            []string // the titles of panels without data
	curves, changing int      // changing are those with several values
}

// leastPoints is how many minutes of the past hour a curve covers.
const leastPoints = 20

// drawPanel counts the curves of a panel.
func drawPanel(title string, curves [][]float64) drawn {
	d := drawn{title: title, panels: 1}
	if len(curves) == 0 {
		d.empty = []string{title}
	}
	for _, curve := range curves {
		if len(curve) < leastPoints {
			continue
		}
		d.curves++
		if slices.Min(curve) != slices.Max(curve) {
			d.changing++
		}
	}
	return d
}

// add adds what a panel shows.
func (d *drawn) add(panel drawn) {
	d.panels += panel.panels
	d.curves += panel.curves
	d.changing += panel.changing
	d.empty = append(d.empty, panel.empty...)
}

// draw queries what the UI draws in the hour up to a time, panel by panel.
func (s *session) draw(ctx context.Context, board *dashboard, at time.Time) ([]drawn, error) {
	var panels []drawn
	for _, p := range board.panels() {
		var curves [][]float64
		for _, promQL := range p.Expr {
			more, err := s.store.Curves(ctx, promQL, at.Add(-time.Hour), at, time.Minute)
			if err != nil {
				return nil, fmt.Errorf("the panel %s of %s: %w", p.Title, board.Title, err)
			}
			curves = append(curves, more...)
		}
		panels = append(panels, drawPanel(p.Title, curves))
	}
	return panels, nil
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
		board := &s.boards[i]
		if !slices.Contains(served, board.Title) {
			return fmt.Errorf("the UI does not have the dashboard %s, but %q", board.Title, served)
		}
		panels, err := s.draw(ctx, board, at)
		if err != nil {
			return err
		}
		d := drawn{title: board.Title}
		for _, p := range panels {
			d.add(p)
		}
		if s.past.pushes > 0 && d.changing == 0 {
			return fmt.Errorf("the dashboard %s shows no curve of the past hour that changes: %d of %d panels are empty", d.title, len(d.empty), d.panels)
		}
		all = append(all, d)
	}
	writeDrawn(s.stdout, all)
	return nil
}
