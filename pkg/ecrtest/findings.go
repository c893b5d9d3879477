package ecrtest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// wireFinding is the ImageScanFinding of the service model without its attributes.
type wireFinding struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	URI         string `json:"uri"`
	Severity    string `json:"severity"`
}

// wireEnhancedFinding is the EnhancedImageScanFinding of the service model, in part.
type wireEnhancedFinding struct {
	AccountID   string                `json:"awsAccountId"`
	ARN         string                `json:"findingArn"`
	Title       string                `json:"title"`
	Type        string                `json:"type"`
	Severity    string                `json:"severity"`
	Status      string                `json:"status"`
	FirstSeenAt float64               `json:"firstObservedAt,omitempty"`
	LastSeenAt  float64               `json:"lastObservedAt,omitempty"`
	Details     wireVulnerability     `json:"packageVulnerabilityDetails"`
	Resources   []wireFindingResource `json:"resources"`
}

type wireVulnerability struct {
	ID     string `json:"vulnerabilityId"`
	Source string `json:"source"`
}

type wireFindingResource struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// severityOrder is the order of findings: the most severe first.
var severityOrder = [...]string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED"}

// bySeverity returns the severities of counts, the known ones in their order.
func bySeverity(counts map[string]int32) []string {
	all := slices.Sorted(maps.Keys(counts))
	rank := func(severity string) int {
		if i := slices.Index(severityOrder[:], severity); i >= 0 {
			return i
		}
		return len(severityOrder)
	}
	slices.SortStableFunc(all, func(a, b string) int { return rank(a) - rank(b) })
	return all
}

// scanFindings generates as many findings as a scan counts, and returns those of a page. A
// complete scan without counts has an empty list; one without a result has none.
// See https://github.com/aws/aws-cli/issues/6759
func (r *Registry) scanFindings(scanType string, s *scanned, first, limit int) *wireScanFindings {
	state := &s.state
	out := &wireScanFindings{wireScanSummary: wireScanSummary{
		CompletedAt:     epoch(toMillis(state.CompletedAt)),
		SourceUpdatedAt: epoch(toMillis(state.SourceUpdatedAt)),
		Counts:          state.Counts,
	}}
	switch {
	case state.Counts == nil && out.CompletedAt == 0 && state.Status != scanComplete && state.Status != scanActive:
		return nil
	case scanType == basic || state.Counts == nil:
		out.Findings = []wireFinding{}
	default:
		out.Enhanced = []wireEnhancedFinding{}
	}
	base := binary.BigEndian.Uint16(s.rec.digest[:])
	i := 0
	for _, severity := range bySeverity(state.Counts) {
		n := int(state.Counts[severity])
		for k := max(i, first); k < min(i+n, first+limit); k++ {
			cve := fmt.Sprintf("CVE-2025-%05d", int(base)+k)
			if scanType == basic {
				out.Findings = append(out.Findings, basicFinding(cve, severity))
			} else {
				out.Enhanced = append(out.Enhanced, r.enhancedFinding(s, cve, severity))
			}
		}
		i += n
	}
	return out
}

func basicFinding(cve, severity string) wireFinding {
	return wireFinding{
		Name:        cve,
		Description: "A simulated vulnerability.",
		URI:         "https://cve.mitre.org/cgi-bin/cvename.cgi?name=" + cve,
		Severity:    severity,
	}
}

func (r *Registry) enhancedFinding(s *scanned, cve, severity string) wireEnhancedFinding {
	return wireEnhancedFinding{
		AccountID:   r.id,
		ARN:         r.inspectorARN("finding/" + Digest(s.repository + s.rec.digest.String() + cve)[len(digestPrefix):][:32]),
		Title:       cve + " - made-up",
		Type:        "PACKAGE_VULNERABILITY",
		Severity:    severity,
		Status:      "ACTIVE",
		FirstSeenAt: epoch(s.rec.pushed),
		LastSeenAt:  epoch(toMillis(s.state.CompletedAt)),
		Details:     wireVulnerability{ID: cve, Source: "NVD"},
		Resources:   []wireFindingResource{{ID: r.imageARN(s.repository, s.rec.digest), Type: "AWS_ECR_CONTAINER_IMAGE"}},
	}
}

// imageARN is the ARN of an image in Inspector.
func (r *Registry) imageARN(repository string, d digest) string {
	return r.ARN(repository) + "/" + d.String()
}
