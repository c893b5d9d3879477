package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// typicalMonth returns the forecasts of a function with some settings, of a typical registry of
// so many images.
func typicalMonth(t *testing.T, images int, settings ...string) []cost.Forecast {
	t.Helper()
	return estimatorOf(t, settings...).Typical(images, images/inUseShare)
}

func estimatorOf(t *testing.T, settings ...string) *cost.Estimator {
	t.Helper()
	c, err := config.Load(settings, config.ToPrint)
	if err != nil {
		t.Fatal(err)
	}
	table, err := metrics.New(c.Shape())
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEstimator(c, table, "")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// costTable is what registries cost, for the README.
func costTable(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("| tagged images | series | every 2 minutes | every 5 minutes | every 2 minutes, `IDLE_IMAGES=never` | AMP for the same series scraped every minute |\n|---|---|---|---|---|---|\n")
	for _, images := range []int{1_000, 10_000, 100_000, 1_000_000} {
		two, five := typicalMonth(t, images), typicalMonth(t, images, "SCHEDULE=5m")
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", quantity.Grouped(images), quantity.Grouped(two[0].Series),
			cost.Dollars(two[0].Bill.Total()), cost.Dollars(five[0].Bill.Total()), cost.Dollars(two[1].Bill.Total()), cost.Dollars(two[0].Scraped.Total()))
	}
	return text.String()
}

// fleetCostTable is what many registries of one stack cost, for docs/organisation.md.
func fleetCostTable(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("| registries | tagged images in each | series | AMP, every 2 minutes | Lambda | S3 | SQS | CloudWatch | all | every 5 minutes |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, of := range [][2]int{{200, 100}, {200, 1_000}, {2_000, 100}, {2_000, 1_000}, {8_500, 0}} {
		series, two := fleetMonth(t, of[0], of[1])
		_, five := fleetMonth(t, of[0], of[1], "SCHEDULE=5m")
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", quantity.Grouped(of[0]), quantity.Grouped(of[1]), quantity.Grouped(series),
			cost.Dollars(two.Ingestion+two.Storage), cost.Dollars(two.Lambda), cost.Dollars(two.S3), cost.Dollars(two.SQS), cost.Dollars(two.Metrics+two.Logs), cost.Dollars(two.Total()), cost.Dollars(five.Total()))
	}
	return text.String()
}

// fleetMonth returns the series and the bill of so many registries of so many images each.
func fleetMonth(t *testing.T, registries, images int, settings ...string) (int, cost.Bill) {
	t.Helper()
	e := estimatorOf(t, settings...)
	e.OneOfMany = true
	one := e.Typical(images, images/inUseShare)[0]
	return registries * one.Series, e.Prices.Bill(e.Together(slices.Repeat([]cost.Usage{one.Usage}, registries)), true)
}

// costExample is what -cost prints, which docs/cost.md shows.
func costExample(t *testing.T) string {
	t.Helper()
	return "```\n" + costOutput(t, "-images", "10000", "-in-use", "400") + "```\n"
}

// costOutput runs -cost with arguments, without a Region or credentials.
func costOutput(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"-cost"}, args...), nil, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("-cost %v: exit code %d, %s", args, code, &stderr)
	}
	return stdout.String()
}

// -brief is one line.
func TestCostBrief(t *testing.T) {
	t.Parallel()
	const want = "About $195 a month for 10,000 tagged images (113,454 series, a push every 2m0s), $13.17 with IDLE_IMAGES=never, at the prices of 2026-11-01 in us-east-1.\n"
	if got := costOutput(t, "-images", "10000", "-brief"); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// The typical registry has as many series as the simulated one of 2026.
func TestTypicalRegistry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)
	p := profileOf(t, ecrtest.RealisticShape(200, 10_000, now))
	f := typicalMonth(t, 10_000)[0]
	got, want := float64(f.Series-f.RunSeries), float64(p.withIndexes+p.untagged)
	if math.Abs(got/want-1) > 0.05 {
		t.Errorf("the typical registry has %.0f series, the simulated one %.0f", got, want)
	}
}
