package ecrtest

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

type describeRegionsOutput struct {
	XMLName xml.Name     `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeRegionsResponse"`
	Regions []wireRegion `xml:"regionInfo>item"`
}

type wireRegion struct {
	Name     string `xml:"regionName"`
	Endpoint string `xml:"regionEndpoint"`
	OptIn    string `xml:"optInStatus"`
}

// describeRegions handles DescribeRegions of Amazon EC2: the Regions that are enabled for the
// account, and with AllRegions those of the other accounts too. Of the parameters it has
// AllRegions and the filter opt-in-status.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
func describeRegions(c *call, body []byte) (any, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, newError("InvalidParameterValue", "%v", err)
	}
	var statuses []string // nil for all
	for name, values := range form {
		switch {
		case name == "Action", name == "Version", name == "AllRegions":
		case name == "Filter.1.Name" && values[0] == "opt-in-status":
		case strings.HasPrefix(name, "Filter.1.Value."):
			statuses = append(statuses, values[0])
		default:
			return nil, newError("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	out := &describeRegionsOutput{}
	for _, r := range c.regions(strings.EqualFold(form.Get("AllRegions"), "true")) {
		if statuses != nil && !slices.Contains(statuses, r.status) {
			continue
		}
		out.Regions = append(out.Regions, wireRegion{Name: r.name, Endpoint: fmt.Sprintf("ec2.%s.amazonaws.com", r.name), OptIn: r.status})
	}
	return out, nil
}

type regionStatus struct{ name, status string }

// regions are the Regions of the caller's account, or all of the organisation.
func (c *call) regions(all bool) []regionStatus {
	const enabled, other = "opt-in-not-required", "not-opted-in"
	o := c.server.organisation
	if o == nil {
		return []regionStatus{{c.server.registry.region, enabled}}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	statuses := map[string]string{}
	for id, account := range o.accounts {
		for _, name := range account.regions {
			switch {
			case id == c.caller.account:
				statuses[name] = enabled
			case all && statuses[name] == "":
				statuses[name] = other
			}
		}
	}
	names := slices.Sorted(maps.Keys(statuses))
	regions := make([]regionStatus, len(names))
	for i, name := range names {
		regions[i] = regionStatus{name, statuses[name]}
	}
	return regions
}
