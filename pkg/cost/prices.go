package cost

import (
	"bytes"
	_ "embed" // prices.json
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"
)

// Prices are what AWS bills, in US dollars. Free tiers that an account has once for all that
// runs in it are left out, except that of samples.
type Prices struct {
	// Date is the day that the prices are of, and Region the AWS Region.
	Date   string `json:"date"`
	Region string `json:"region"`
	// SamplesFree are the samples a month that AMP ingests for nothing. They are the first of
	// the first tier: https://aws.amazon.com/prometheus/pricing/.
	SamplesFree float64 `json:"amp_samples_free"`
	Samples     []Tier  `json:"amp_samples_per_10_million"`
	Storage     float64 `json:"amp_storage_per_gb_month"`
	Queries     float64 `json:"amp_query_samples_per_billion"`
	// LambdaTime is for arm64.
	LambdaTime     float64 `json:"lambda_per_gb_second"`
	LambdaRequests float64 `json:"lambda_requests_per_million"`
	Puts           float64 `json:"s3_put_per_thousand"`
	Gets           float64 `json:"s3_get_per_thousand"`
	// Messages are requests to a FIFO queue.
	Messages float64 `json:"sqs_requests_per_million"`
	Metrics  float64 `json:"cloudwatch_metric"`
	Logs     float64 `json:"cloudwatch_logs_per_gb"`
}

// Tier is the price of 10 million samples up to a number of samples a month; 0, of the last
// tier, is no limit.
type Tier struct {
	UpTo  float64 `json:"up_to"`
	Price float64 `json:"price"`
}

//go:embed prices.json
var listed []byte

// ListPrices returns the list prices of the date that they name.
func ListPrices() Prices {
	var p Prices
	if faults := p.read(listed); len(faults) > 0 {
		panic(fmt.Sprint("prices.json: ", faults)) // a test reads it
	}
	return p
}

// LoadPrices reads a file of prices in the form of prices.json. What it leaves out has its
// list price. The error names all faults of the file.
func LoadPrices(name string) (Prices, error) {
	p := ListPrices()
	text, err := os.ReadFile(name)
	if err != nil {
		return Prices{}, fmt.Errorf("reading the prices: %w", err)
	}
	if faults := p.read(text); len(faults) > 0 {
		return Prices{}, fmt.Errorf("the prices in %s: %w", name, errors.Join(faults...))
	}
	return p, nil
}

// read takes over what a text has of the prices, and returns all its faults.
func (p *Prices) read(text []byte) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return []error{fmt.Errorf("want a JSON object: %w", err)}
	}
	value := reflect.ValueOf(p).Elem()
	for field, v := range value.Fields() {
		name := field.Tag.Get("json")
		member, given := members[name]
		delete(members, name)
		if !given {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(member))
		decoder.DisallowUnknownFields()
		v.SetZero() // a list would keep what it had
		if err := decoder.Decode(v.Addr().Interface()); err != nil || string(member) == "null" {
			fault("%s is %.100s, want %s", name, member, map[reflect.Kind]string{
				reflect.String: "a text", reflect.Float64: "a number", reflect.Slice: `a list of {"up_to": samples, "price": dollars}`,
			}[field.Type.Kind()])
			continue
		}
		switch v.Kind() {
		case reflect.Float64:
			if v.Float() < 0 {
				fault("%s is %s, want no negative number", name, member)
			}
		case reflect.Slice:
			if !rising(p.Samples) {
				fault("%s: want tiers with a rising up_to, none in the last, and no negative price", name)
			}
		}
		if _, err := time.Parse(time.DateOnly, p.Date); name == "date" && err != nil {
			fault("date is %s, want a day such as 2026-11-01", member)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fault("%s is not a price", name)
	}
	return faults
}

// rising reports whether the tiers cover every number of samples once.
func rising(tiers []Tier) bool {
	from := 0.0
	for i, tier := range tiers {
		if last := i == len(tiers)-1; tier.Price < 0 || last != (tier.UpTo == 0) || !last && tier.UpTo <= from {
			return false
		}
		from = tier.UpTo
	}
	return len(tiers) > 0
}
