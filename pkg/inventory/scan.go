package inventory

import "encoding/json"

// Scan status values for what the API reports as an error.
var (
	ScanNotFound      = WordOf("SCAN_NOT_FOUND")  // the image was never scanned
	ScanImageNotFound = WordOf("IMAGE_NOT_FOUND") // the image was deleted after it was listed
)

// Scan is what is known about an image's vulnerability scan. A record is replaced as a
// whole, never changed, so that versions of an image's record can share it. It has 48 bytes: a
// large registry has more than a million.
type Scan struct {
	// Status is the API's word (COMPLETE, ACTIVE, FAILED, …) or one of the above;
	// empty if a summary came without one.
	Status Word `cbor:"1,keyasint,omitzero" json:"status,omitempty"`
	// Unfinished counts the consecutive responses that said that a scan is under
	// way. Severities and CompletedAt are then those of the scan before.
	Unfinished uint8 `cbor:"5,keyasint,omitempty" json:"unfinished,omitempty"`
	// Partial is set while only some severities are known, as of Inspector's lists before 2026:
	// they count LOW and below together.
	Partial bool `cbor:"6,keyasint,omitempty" json:"partial,omitempty"`
	// Total is the number of findings of all severities according to Inspector; 0 if
	// Inspector did not report it.
	Total int32 `cbor:"7,keyasint,omitempty" json:"total,omitempty"`
	// CompletedAt is when the scan finished; zero if unknown.
	CompletedAt Time `cbor:"2,keyasint,omitempty" json:"completed_at,omitzero"`
	// Severities are sorted by name, each once, and hold only what the API reported.
	Severities Counts `cbor:"3,keyasint,omitzero" json:"severities"`
	// AskedAt is when this was read, or reported by an event; zero if it came with
	// DescribeImages, and for the sum of an index's children.
	AskedAt Time `cbor:"4,keyasint,omitempty" json:"asked_at,omitzero"`
	// LastInUseAt is when Inspector last saw the image run, and InUseCount in how many pods
	// and tasks.
	LastInUseAt Second `cbor:"9,keyasint,omitzero" json:"last_in_use_at,omitzero"`
	InUseCount  int32  `cbor:"8,keyasint,omitempty" json:"in_use_count,omitempty"`
}

// Final reports whether the result is complete and will not change before the next scan.
func (s *Scan) Final() bool { return s != nil && s.Unfinished == 0 && !s.Partial }

// The severities are known from the start. Whoever pushes images chooses their artifact types, which
// are words too: if these were more than there can be, findings still have their severity.
var _ = []Word{
	WordOf("CRITICAL"), WordOf("HIGH"), WordOf("MEDIUM"), WordOf("LOW"), WordOf("INFORMATIONAL"), WordOf("UNDEFINED"), WordOf("UNTRIAGED"),
}

// SeverityCount is the number of findings of one severity.
type SeverityCount struct {
	Severity Word  `cbor:"1,keyasint"` // the API's upper-case word
	Count    int32 `cbor:"2,keyasint"`
}

// Severities are the findings of a scan by severity.
type Severities []SeverityCount

// MarshalJSON writes an object with a member for each severity.
func (s Severities) MarshalJSON() ([]byte, error) {
	counts := make(map[string]int32, len(s))
	for _, severity := range s {
		counts[severity.Severity.String()] = severity.Count
	}
	return json.Marshal(counts)
}

// ScanAnswer is what a list of scans says about one image.
type ScanAnswer struct {
	Repository string
	Digest     Digest
	Scan       Scan
}
