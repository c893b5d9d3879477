package ecrtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unique"
)

// Image is what DescribeImages returns of an image, without registry and repository.
// Fields that are zero or nil are absent in responses.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
type Image struct {
	// Digest is "sha256:" and 64 lower-case hexadecimal digits; see [Digest].
	Digest string
	// Tags are sorted; nil for an untagged image.
	Tags []string
	// SizeBytes of an index is the size of its largest child.
	SizeBytes *int64
	// Times are truncated to milliseconds.
	PushedAt time.Time
	// PulledAt is lastRecordedPullTime.
	PulledAt          time.Time
	ManifestMediaType string
	ArtifactMediaType string
	// SubjectDigest is the image that a referrer (a signature, an SBOM) is about.
	SubjectDigest string
	// Status is ACTIVE, ARCHIVED or ACTIVATING. Empty means active without imageStatus in
	// responses, as before the API had archives.
	Status      string
	ArchivedAt  time.Time
	ActivatedAt time.Time
	// Scan and ScanStatus are nil on today's ECR: DescribeImages has no scans since basic
	// scanning no longer uses Clair. Older registries have them.
	Scan       *ScanSummary
	ScanStatus *ScanStatus

	// Children are the entries of an index, in the order of its manifest.
	Children []Child
	// Manifest is what BatchGetImage returns; if empty, a manifest made from the other
	// fields.
	Manifest string
	// Attestation is set for the attestation of a child. DescribeImages returns it as an
	// image; scanners do not support it.
	Attestation bool
}

// ScanSummary is imageScanFindingsSummary.
type ScanSummary struct {
	// CompletedAt and SourceUpdatedAt are truncated to milliseconds, and absent if zero.
	CompletedAt     time.Time
	SourceUpdatedAt time.Time
	// Counts are findings by severity. Empty is a clean scan, sent as {};
	// findingSeverityCounts is absent if it is nil.
	Counts map[string]int32
}

// ScanStatus is imageScanStatus.
type ScanStatus struct {
	// Status is that of the API, such as COMPLETE or FAILED.
	Status      string
	Description string
}

// Digest returns the digest of a manifest's text: "sha256:" and its hash in
// hexadecimal.
func Digest(manifest string) string {
	sum := sha256.Sum256([]byte(manifest))
	return digest(sum).String()
}

// digest is a digest's 32 bytes; as text it would take 71.
type digest [sha256.Size]byte

const digestPrefix = "sha256:"

func parseDigest(s string) (d digest, ok bool) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*len(d) || strings.ToLower(digits) != digits {
		return digest{}, false
	}
	_, err := hex.Decode(d[:], []byte(digits))
	return d, err == nil
}

func (d digest) String() string {
	b := make([]byte, 0, len(digestPrefix)+2*len(d))
	return string(hex.AppendEncode(append(b, digestPrefix...), d[:]))
}

func (d digest) compare(other digest) int { return bytes.Compare(d[:], other[:]) }

// status is an image status in one byte.
type status uint8

const (
	statusNone status = iota
	statusActive
	statusArchived
	statusActivating
)

// statusWords are the values of ImageStatus in the service model.
var statusWords = [...]string{statusNone: "", statusActive: "ACTIVE", statusArchived: "ARCHIVED", statusActivating: "ACTIVATING"}

func (s status) String() string { return statusWords[s] }

func (s status) active() bool { return s == statusNone || s == statusActive }

// record is a stored Image. A registry may have a million, so fields that few images have
// are separate.
//
// Slices and pointers of records are replaced and never changed, so copied pages stay
// valid.
type record struct {
	digest         digest
	tags           []string
	size           int64 // -1 when missing
	pushed, pulled int64 // Unix milliseconds, 0 when missing
	manifestType   unique.Handle[string]
	artifactType   unique.Handle[string]
	extra          *extra
	status         status
	attestation    bool
}

// extra are fields that most images do not have.
type extra struct {
	subject             string
	archived, activated int64
	scan                *ScanSummary
	scanStatus          *ScanStatus
	children            []child
	manifest            string
}

// imageTag is a tag as the distribution specification allows it.
var imageTag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// newRecord validates an image and converts it.
func newRecord(img *Image) (record, error) {
	d, ok := parseDigest(img.Digest)
	if !ok {
		return record{}, fmt.Errorf("image digest %q: want sha256: and 64 hexadecimal digits", img.Digest)
	}
	st := slices.Index(statusWords[:], img.Status)
	if st < 0 {
		return record{}, fmt.Errorf("image %s: unknown status %q", img.Digest, img.Status)
	}
	for _, tag := range img.Tags {
		if !imageTag.MatchString(tag) {
			return record{}, fmt.Errorf("image %s: not a tag: %q", img.Digest, tag)
		}
	}
	if img.SizeBytes != nil && *img.SizeBytes < 0 {
		return record{}, fmt.Errorf("image %s: negative size", img.Digest)
	}
	children, err := newChildren(img.Children)
	if err != nil {
		return record{}, fmt.Errorf("image %s: %w", img.Digest, err)
	}
	rec := record{
		digest:       d,
		tags:         slices.Compact(slices.Sorted(slices.Values(img.Tags))),
		size:         -1,
		pushed:       toMillis(img.PushedAt),
		pulled:       toMillis(img.PulledAt),
		manifestType: unique.Make(img.ManifestMediaType),
		artifactType: unique.Make(img.ArtifactMediaType),
		status:       status(st),
		attestation:  img.Attestation,
	}
	if img.SizeBytes != nil {
		rec.size = *img.SizeBytes
	}
	if img.SubjectDigest != "" || !img.ArchivedAt.IsZero() || !img.ActivatedAt.IsZero() || img.Scan != nil || img.ScanStatus != nil ||
		children != nil || img.Manifest != "" {
		rec.extra = &extra{
			subject:   img.SubjectDigest,
			archived:  toMillis(img.ArchivedAt),
			activated: toMillis(img.ActivatedAt),
			scan:      img.Scan.clone(),
			children:  children,
			manifest:  img.Manifest,
		}
		if img.ScanStatus != nil {
			rec.extra.scanStatus = new(*img.ScanStatus)
		}
	}
	return rec, nil
}

// image converts back; the result shares nothing with the record.
func (rec *record) image() Image {
	img := Image{
		Digest:            rec.digest.String(),
		Tags:              slices.Clone(rec.tags),
		PushedAt:          fromMillis(rec.pushed),
		PulledAt:          fromMillis(rec.pulled),
		ManifestMediaType: rec.manifestType.Value(),
		ArtifactMediaType: rec.artifactType.Value(),
		Status:            rec.status.String(),
		Attestation:       rec.attestation,
	}
	if rec.size >= 0 {
		img.SizeBytes = new(rec.size)
	}
	if x := rec.extra; x != nil {
		img.SubjectDigest = x.subject
		img.ArchivedAt = fromMillis(x.archived)
		img.ActivatedAt = fromMillis(x.activated)
		img.Scan = x.scan.clone()
		img.Children, img.Manifest = publicChildren(x.children), x.manifest
		if x.scanStatus != nil {
			img.ScanStatus = new(*x.scanStatus)
		}
	}
	return img
}

func (s *ScanSummary) clone() *ScanSummary {
	if s == nil {
		return nil
	}
	return &ScanSummary{
		CompletedAt:     fromMillis(toMillis(s.CompletedAt)),
		SourceUpdatedAt: fromMillis(toMillis(s.SourceUpdatedAt)),
		Counts:          maps.Clone(s.Counts),
	}
}
