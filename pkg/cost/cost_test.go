package cost_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func estimator(t *testing.T) *cost.Estimator {
	t.Helper()
	table, err := metrics.New(inventory.Shape{UntaggedImages: 20, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	return &cost.Estimator{
		Prices: cost.ListPrices(), Table: table, Schedule: 2 * time.Minute, Refresh: 30 * time.Minute,
		Memory: 256, Calls: 20, Scans: 10, Metrics: 3, AMP: true, S3: true,
	}
}

// The prices of shared/reference/remote-write.md, and each tier's edge.
func TestIngestion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ samples, want float64 }{
		{0, 0}, {40e6, 0}, {50e6, 0.90}, {2e9, 176.40}, {2.01e9, 176.75},
		{100_000 * 720 * 30, 182.00}, {100_000 * 288 * 30, 74.16}, {100_000 * 48 * 30, 9.36},
		{252e9, 176.40 + 8750}, {252.01e9, 176.40 + 8750 + 0.16},
	} {
		if got := cost.ListPrices().Bill(cost.Usage{Samples: c.samples}, true).Ingestion; math.Abs(got-c.want) > 0.005 {
			t.Errorf("%.0f samples cost $%.2f, want $%.2f", c.samples, got, c.want)
		}
	}
	if got := cost.ListPrices().Bill(cost.Usage{Samples: 1e9}, false).Total(); got != 0 {
		t.Errorf("samples that go elsewhere than AMP cost $%f", got)
	}
}

// 100,000 series' worth of images with 4 % in use cost at most $20 a month all in with never.
func TestNeverIsCheap(t *testing.T) {
	t.Parallel()
	e := estimator(t)
	const images = 9_100
	both := e.Typical(images, images*4/100)
	push, never := both[0], both[1]
	t.Logf("push: %d series, $%.2f; never: %d series, $%.2f", push.Series, push.Bill.Total(), never.Series, never.Bill.Total())
	if math.Abs(float64(push.Series)/100_000-1) > 0.05 {
		t.Errorf("%d images have %d series, want about 100,000", images, push.Series)
	}
	if total := never.Bill.Total(); total > 20 {
		t.Errorf("never costs $%.2f a month, want at most $20: %+v", total, never.Bill)
	}
}

// A file replaces the prices that it names, and all of its faults are reported at once.
func TestLoadPrices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string // parts of the error
	}{
		{`{"date": "2027-01-31", "cloudwatch_metric": 0.5, "amp_samples_per_10_million": [{"price": 2}]}`, nil},
		{`[]`, []string{"want a JSON object"}},
		{`{"date": 1, "s3_put_per_thousand": "x", "sqs_requests_per_million": null, "lambda_per_gb_second": -1, "price": 3,
			"amp_samples_per_10_million": [{"up_to": 2}, {"up_to": 1}]}`, []string{
			"date is 1, want a text", `s3_put_per_thousand is "x", want a number`, "sqs_requests_per_million is null, want a number",
			"lambda_per_gb_second is -1, want no negative number", "price is not a price", "amp_samples_per_10_million: want tiers",
		}},
		{`{"date": "1.1.2027", "amp_samples_per_10_million": [{"upto": 2}]}`, []string{"want a day", "want a list of"}},
		{`{"amp_samples_per_10_million": []}`, []string{"want tiers"}},
		{`{"amp_samples_per_10_million": [{"up_to": 2, "price": -1}, {}]}`, []string{"no negative price"}},
	} {
		name := filepath.Join(t.TempDir(), "prices.json")
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := cost.LoadPrices(name)
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q", c.text, err, part)
			}
		}
		switch {
		case len(c.want) > 0:
		case err != nil:
			t.Error(err)
		case fmt.Sprint(p.Samples) != "[{0 2}]" || p.Metrics != 0.5 || p.Puts != cost.ListPrices().Puts:
			t.Errorf("%+v", p)
		}
	}
	if _, err := cost.LoadPrices(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a file that is not there")
	}
}
