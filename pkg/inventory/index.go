package inventory

// Media types of an index.
var (
	OCIIndex   = WordOf("application/vnd.oci.image.index.v1+json")
	DockerList = WordOf("application/vnd.docker.distribution.manifest.list.v2+json")
)

// IsIndex reports whether the image is an index: a list of images by platform.
func (i *Image) IsIndex() bool { return i.MediaType == OCIIndex || i.MediaType == DockerList }

// Index is what an index lists. A record is replaced as a whole, never changed, so that
// versions of an image's record can share it.
type Index struct {
	// Children are in the order of the index; none is a result too. The images need not be in
	// the repository any more.
	Children []Child `cbor:"1,keyasint,omitempty" json:"children,omitempty"`
	// Others are what it lists besides images, such as attestations.
	Others []Digest `cbor:"3,keyasint,omitempty" json:"others,omitempty"`
	// Platforms are the findings by platform, sorted, each once. They are kept only if a
	// family shows them.
	Platforms []PlatformFindings `cbor:"2,keyasint,omitempty" json:"platforms,omitempty"`
}

// withPlatforms returns the same index with other findings.
func (i *Index) withPlatforms(platforms []PlatformFindings) *Index {
	return &Index{Children: i.Children, Others: i.Others, Platforms: platforms}
}

// Child is an image that an index lists.
type Child struct {
	Digest Digest `cbor:"1,keyasint" json:"digest"`
	// Platform is "os/architecture" or "os/architecture/variant"; the os can have a version,
	// as in "windows(10.0.17763.1)/amd64". Empty if the index does not say.
	Platform string `cbor:"2,keyasint,omitempty" json:"platform,omitempty"`
}

// PlatformFindings are the findings of an index's images of one platform: per severity the
// highest count among them.
type PlatformFindings struct {
	Platform   string     `cbor:"1,keyasint,omitempty" json:"platform,omitempty"`
	Severities Severities `cbor:"2,keyasint,omitempty" json:"severities"`
}

// IndexResult is what was read about the children of one index.
type IndexResult struct {
	Digest Digest
	// Children are in the order of the index, each once with each of its platforms. Without
	// an error they are all; none is a result too.
	Children []Child
	// Others are what the index lists besides, such as attestations, each once and sorted.
	Others []Digest
	// Err says why the children are unknown.
	Err error
}

// The reasons why indexes are not read, values of a metric's label: reading one is a pull,
// and pull times must not move.
const (
	// IndexesDisabled means that a setting says so.
	IndexesDisabled = "disabled"
	// IndexesNotExcluded means that the caller is not among the registry's pull-time update
	// exclusions.
	IndexesNotExcluded = "not_excluded"
	// IndexesOfOtherAccount means that the registry is that of another account, whose
	// exclusions cannot be read.
	IndexesOfOtherAccount = "other_account"
	// IndexesDenied means that the permission to read the exclusions is missing.
	IndexesDenied = "denied"
	// IndexesUnknown means that the caller or the exclusions could not be read.
	IndexesUnknown = "error"
)

// IndexReasons are all of these.
var IndexReasons = []string{IndexesDisabled, IndexesNotExcluded, IndexesOfOtherAccount, IndexesDenied, IndexesUnknown}
