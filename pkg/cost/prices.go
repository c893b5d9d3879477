package cost

import (
	_ "embed" // prices.json
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Prices are what AWS bills, in US dollars, by the names of prices.json. Free tiers that an
// account has once for all that runs in it are left out, except that of samples.
type Prices struct {
	// Date is the day that the prices are of, as 2026-11-01, and Region the AWS Region.
	Date   string             `json:"date"`
	Region string             `json:"region"`
	Of     map[string]float64 `json:"prices"`
}

//go:embed prices.json
var listed []byte

// ListPrices returns the list prices of the date that they name.
func ListPrices() (p Prices) {
	_ = json.Unmarshal(listed, &p) // a test reads it
	return p
}

// LoadPrices reads a file of prices in the form of prices.json. What it leaves out has its
// list price, and everything if no file is named. The error names all faults of the file.
func LoadPrices(name string) (Prices, error) {
	if name == "" {
		return ListPrices(), nil
	}
	p, known := ListPrices(), ListPrices().Of
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return Prices{}, fmt.Errorf("reading the prices in %s: %w", name, err)
	}
	var faults []error
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		faults = append(faults, fmt.Errorf("date is %.100q, want a day such as 2026-11-01", p.Date))
	}
	for name, dollars := range p.Of {
		if _, ok := known[name]; !ok {
			faults = append(faults, fmt.Errorf("%.100q is not the name of a price", name))
		} else if dollars < 0 {
			faults = append(faults, fmt.Errorf("%s is %v, want no negative number", name, dollars))
		}
	}
	if len(faults) > 0 {
		return Prices{}, fmt.Errorf("the prices in %s: %w", name, errors.Join(faults...))
	}
	return p, nil
}
