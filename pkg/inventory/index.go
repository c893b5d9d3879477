package inventory

// Child is an image that an index lists.
type Child struct {
	Digest Digest
	// Platform is "os/architecture" or "os/architecture/variant"; the os can have a version,
	// as in "windows(10.0.17763.1)/amd64". Empty if the index does not say.
	Platform string
}

// IndexResult is what was read about the children of one index.
type IndexResult struct {
	Digest Digest
	// Children are in the order of the index, each once with each of its platforms. Without
	// an error they are all; none is a result too.
	Children []Child
	// Err says why the children are unknown.
	Err error
}

// The reasons why indexes are not read, values of a metric's label: reading one is a pull,
// and pull times must not move.
const (
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
