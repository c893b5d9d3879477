package inventory

// Image status values as the API writes them.
const (
	ImageActive     = "ACTIVE"
	ImageArchived   = "ARCHIVED"
	ImageActivating = "ACTIVATING"
)

// Image is one manifest of a repository.
type Image struct {
	Digest Digest `cbor:"1,keyasint,omitempty"`
	// Tags are sorted; an untagged image has none.
	Tags []string `cbor:"2,keyasint,omitempty"`
	// SizeBytes is -1 when the API gave none. An index has the size of its
	// largest child.
	SizeBytes    int64  `cbor:"3,keyasint,omitempty"`
	PushedAt     Time   `cbor:"4,keyasint,omitempty"`
	PulledAt     Time   `cbor:"5,keyasint,omitempty"` // lastRecordedPullTime, which ECR refreshes about daily
	MediaType    string `cbor:"6,keyasint,omitempty"` // of the manifest
	ArtifactType string `cbor:"7,keyasint,omitempty"` // artifactMediaType
	// Status is ImageActive, ImageArchived or ImageActivating; empty, from an
	// API that does not know it, counts as active.
	Status string `cbor:"8,keyasint,omitempty"`
	// Scan is nil while nothing is known, which is not the same as no findings.
	Scan *Scan `cbor:"9,keyasint,omitempty"`
	// Hidden is set while a filter leaves the image out, or its repository: it has
	// no series. See Registry.SetImageHidden.
	Hidden bool `cbor:"10,keyasint,omitempty"`
}

// Active reports whether the image can be pulled now. Archived images, and those
// on their way back, cannot, and no family of the contract shows them.
func (i *Image) Active() bool { return i.Status == "" || i.Status == ImageActive }

// Scan status values that the API has no word for, since it answers with an error.
const (
	ScanNotFound      = "SCAN_NOT_FOUND"  // the image was never scanned
	ScanImageNotFound = "IMAGE_NOT_FOUND" // it went between listing and asking
)

// Scan is what is known of an image's vulnerability scan. A record is replaced as
// a whole, never changed, so that former records can share it.
type Scan struct {
	// Status is the API's own word (COMPLETE, ACTIVE, FAILED, …), or one of those
	// above; empty when a summary came without one.
	Status string `cbor:"1,keyasint,omitempty"`
	// CompletedAt is when the findings were made; zero when unknown.
	CompletedAt Time `cbor:"2,keyasint,omitempty"`
	// Severities are sorted by name and hold only what the API reported.
	Severities []SeverityCount `cbor:"3,keyasint,omitempty"`
	// AskedAt is when this was learned, by asking or from an event; zero when it
	// came with DescribeImages.
	AskedAt Time `cbor:"4,keyasint,omitempty"`
	// Unfinished counts the answers in a row that said that a scan is under way.
	// Severities and CompletedAt are then those of the scan before.
	Unfinished int `cbor:"5,keyasint,omitempty"`
	// Partial is set while some severities are known and the split of the others
	// is not: Inspector's aggregations tell LOW and below as one number.
	Partial bool `cbor:"6,keyasint,omitempty"`
	// Total is the number of findings of all severities that Inspector told of; 0
	// when it did not.
	Total int32 `cbor:"7,keyasint,omitempty"`
	// InUseCount and LastInUseAt say where Inspector saw the image run.
	InUseCount  int64 `cbor:"8,keyasint,omitempty"`
	LastInUseAt Time  `cbor:"9,keyasint,omitempty"`
}

// Final reports whether the answer is whole and will not change before the next
// scan.
func (s *Scan) Final() bool { return s != nil && s.Unfinished == 0 && !s.Partial }

// SeverityCount is the number of findings of one severity.
type SeverityCount struct {
	Severity string `cbor:"1,keyasint"` // the API's upper-case word
	Count    int32  `cbor:"2,keyasint"`
}

// ScanAnswer is what a list of scans tells of one image.
type ScanAnswer struct {
	Repository string
	Digest     Digest
	Scan       Scan
}
