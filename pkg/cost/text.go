package cost

import (
	"fmt"
	"io"
	"math"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// Both forecasts a registry for IDLE_IMAGES=push and never. Without Select there is no second
// forecast.
func (e *Estimator) Both(registry *inventory.Registry) []Forecast {
	if e.Select == nil {
		return []Forecast{e.forecast(registry, false)}
	}
	var both []Forecast
	for _, never := range []bool{false, true} {
		e.Select(registry, never)
		both = append(both, e.forecast(registry, never))
	}
	return both
}

// Typical is Both for a typical registry of so many tagged images, of which some are in use.
func (e *Estimator) Typical(images, inUse int) []Forecast {
	return []Forecast{e.forecast(typical(images, images), false), e.forecast(typical(images, inUse), true)}
}

// rows are the lines of the table after the families.
var rows = []struct {
	name    string
	dollars bool
	amp     bool // only if the samples go to AMP
	of      func(Forecast) float64
}{
	{"run metrics", false, false, func(f Forecast) float64 { return float64(f.RunSeries) }},
	{"series", false, false, func(f Forecast) float64 { return float64(f.Series) }},
	{"samples a month", false, false, func(f Forecast) float64 { return f.Usage.Samples }},
	{"AMP ingestion", true, true, func(f Forecast) float64 { return f.Bill.Ingestion }},
	{"AMP storage", true, true, func(f Forecast) float64 { return f.Bill.Storage }},
	{"AMP queries of the function", true, true, func(f Forecast) float64 { return f.Bill.Queries }},
	{"Lambda", true, false, func(f Forecast) float64 { return f.Bill.Lambda }},
	{"S3", true, false, func(f Forecast) float64 { return f.Bill.S3 }},
	{"SQS", true, false, func(f Forecast) float64 { return f.Bill.SQS }},
	{"CloudWatch metrics", true, false, func(f Forecast) float64 { return f.Bill.Metrics }},
	{"CloudWatch logs", true, false, func(f Forecast) float64 { return f.Bill.Logs }},
	{"total a month", true, false, func(f Forecast) float64 { return f.Bill.Total() }},
	{"AMP for the same series scraped every 60 s", true, true, func(f Forecast) float64 { return f.Scraped.Total() }},
}

// settings are the values of IDLE_IMAGES, in the order of what Both returns.
var settings = []string{"push", "never"}

// WriteTable writes forecasts side by side: the series of each family that has any, and what a
// month uses and costs.
func (e *Estimator) WriteTable(w io.Writer, forecasts []Forecast) {
	fmt.Fprintf(w, "A month of 30 days with a push every %s, at the prices of %s in %s:\n", e.Schedule, e.Prices.Date, e.Prices.Region)
	line := func(name string, cell func(i int) string) {
		fmt.Fprintf(w, "%-58s", name)
		for i := range forecasts {
			fmt.Fprintf(w, " %15s", cell(i))
		}
		fmt.Fprintln(w)
	}
	line("IDLE_IMAGES", func(i int) string { return settings[i] })
	for n, count := range forecasts[0].Counts {
		if count.Series > 0 {
			line(count.Family.Name, func(i int) string { return quantity.Grouped(forecasts[i].Counts[n].Series) })
		}
	}
	for _, row := range rows {
		if row.amp && !e.AMP {
			continue
		}
		line(row.name, func(i int) string {
			if n := row.of(forecasts[i]); !row.dollars {
				return quantity.Grouped(int(math.Round(n)))
			}
			return Dollars(row.of(forecasts[i]))
		})
	}
}

// WriteLine writes the totals as one line.
func (e *Estimator) WriteLine(w io.Writer, images int, forecasts []Forecast) {
	fmt.Fprintf(w, "About %s a month for %s (%s series, a push every %s)", Dollars(forecasts[0].Bill.Total()),
		quantity.Plural(images, "tagged image", "tagged images"), quantity.Grouped(forecasts[0].Series), e.Schedule)
	if len(forecasts) > 1 {
		fmt.Fprintf(w, ", %s with IDLE_IMAGES=never", Dollars(forecasts[1].Bill.Total()))
	}
	fmt.Fprintf(w, ", at the prices of %s in %s.\n", e.Prices.Date, e.Prices.Region)
}

// Dollars formats an amount in cents up to $100, in whole dollars above.
func Dollars(amount float64) string {
	if amount < 99.995 {
		return fmt.Sprintf("$%.2f", amount)
	}
	return "$" + quantity.Grouped(int(math.Round(amount)))
}
