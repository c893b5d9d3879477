package cost_test

import (
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

// Every list price has a part in the bill.
func TestListPrices(t *testing.T) {
	t.Parallel()
	usage := cost.Usage{Samples: 1e12, QuerySamples: 1e12, Invocations: 1e12, GBSeconds: 1e12, Puts: 1e12, Gets: 1e12, Messages: 1e12, Metrics: 1e12, LogBytes: 1e18}
	p := cost.ListPrices()
	total := p.Bill(usage, true).Total()
	for name := range p.Of {
		changed := cost.ListPrices()
		changed.Of[name] *= 1.5
		if changed.Bill(usage, true).Total() == total {
			t.Errorf("%s has no effect", name)
		}
	}
	if len(p.Of) != 13 || p.Date == "" || p.Region == "" {
		t.Errorf("%+v", p)
	}
}

// A file replaces the prices that it names, and all of its faults are reported at once.
func TestLoadPrices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string // parts of the error
	}{
		{`{"date": "2027-01-31", "prices": {"cloudwatch_metric": 0.5}}`, nil},
		{`[]`, []string{"reading the prices in"}},
		{`{"prices": {"cloudwatch_metric": "x"}}`, []string{"cannot unmarshal string"}},
		{`{"date": "1.1.2027", "prices": {"lambda_gb_second": -1, "price": 3}}`, []string{
			`date is "1.1.2027", want a day`, "lambda_gb_second is -1, want no negative number", `"price" is not the name of a price`,
		}},
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
		case p.Date != "2027-01-31" || p.Of["cloudwatch_metric"] != 0.5 || p.Of["s3_thousand_puts"] != 0.005:
			t.Errorf("%+v", p)
		}
	}
	if _, err := cost.LoadPrices(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a file that is not there")
	}
}
