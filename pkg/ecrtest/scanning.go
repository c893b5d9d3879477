package ecrtest

import (
	"fmt"
	"slices"
)

// The types of scanning that a registry can have.
const (
	basic    = "BASIC"
	enhanced = "ENHANCED"
)

// Scanning is the scanning configuration of a registry.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegistryScanningConfiguration.html
type Scanning struct {
	// Type is BASIC for ECR's own scanner or ENHANCED for Inspector.
	Type  string
	Rules []ScanningRule
}

// ScanningRule is the scan frequency of some repositories.
type ScanningRule struct {
	// Frequency is SCAN_ON_PUSH, CONTINUOUS_SCAN or MANUAL.
	Frequency string
	// Filters are wildcard patterns of the repositories' names.
	Filters []string
}

// SetScanning changes the scanning configuration. ENHANCED without rules scans all
// repositories continuously, which is the default of the console. A new registry is BASIC
// without rules.
func (r *Registry) SetScanning(scanning Scanning) error {
	if scanning.Type != basic && scanning.Type != enhanced {
		return fmt.Errorf("set scanning: unknown type %q", scanning.Type)
	}
	for i, rule := range scanning.Rules {
		switch rule.Frequency {
		case "SCAN_ON_PUSH", "CONTINUOUS_SCAN", "MANUAL":
		default:
			return fmt.Errorf("set scanning: rule %d: unknown frequency %q", i+1, rule.Frequency)
		}
	}
	if scanning.Type == enhanced && len(scanning.Rules) == 0 {
		scanning.Rules = []ScanningRule{{Frequency: "CONTINUOUS_SCAN", Filters: []string{"*"}}}
	}
	scanning = scanning.clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scanning = scanning
	return nil
}

// Scanning returns the scanning configuration.
func (r *Registry) Scanning() Scanning {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.scanning.clone()
}

func (s Scanning) clone() Scanning {
	s.Rules = slices.Clone(s.Rules)
	for i := range s.Rules {
		s.Rules[i].Filters = slices.Clone(s.Rules[i].Filters)
	}
	return s
}

// frequency returns the highest scan frequency of the rules that match a repository.
func (s *Scanning) frequency(repository string) string {
	found := "MANUAL"
	for _, rule := range s.Rules {
		if !anyMatch(rule.Filters, repository) {
			continue
		}
		switch rule.Frequency {
		case "CONTINUOUS_SCAN":
			return rule.Frequency
		case "SCAN_ON_PUSH":
			found = rule.Frequency
		}
	}
	return found
}

// done is the status of an image of a repository after its scan.
func (s *Scanning) done(repository string) string {
	if s.Type == enhanced && s.frequency(repository) == "CONTINUOUS_SCAN" {
		return scanActive
	}
	return scanComplete
}

type getRegistryScanningConfigurationInput struct{}

type getRegistryScanningConfigurationOutput struct {
	RegistryID    string               `json:"registryId"`
	Configuration wireRegistryScanning `json:"scanningConfiguration"`
}

type wireRegistryScanning struct {
	Type  string             `json:"scanType"`
	Rules []wireScanningRule `json:"rules"`
}

type wireScanningRule struct {
	Frequency string         `json:"scanFrequency"`
	Filters   []wireWildcard `json:"repositoryFilters"`
}

// getRegistryScanningConfiguration handles GetRegistryScanningConfiguration, which
// has no registryId and is authorised on "*".
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetRegistryScanningConfiguration.html
func getRegistryScanningConfiguration(c *call, _ *getRegistryScanningConfigurationInput) (any, error) {
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	scanning := c.server.registry.Scanning()
	out := &getRegistryScanningConfigurationOutput{
		RegistryID:    c.server.registry.id,
		Configuration: wireRegistryScanning{Type: scanning.Type, Rules: []wireScanningRule{}},
	}
	for _, rule := range scanning.Rules {
		w := wireScanningRule{Frequency: rule.Frequency, Filters: []wireWildcard{}}
		for _, pattern := range rule.Filters {
			w.Filters = append(w.Filters, wireWildcard{Type: "WILDCARD", Filter: pattern})
		}
		out.Configuration.Rules = append(out.Configuration.Rules, w)
	}
	return out, nil
}
