package ecrtest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The types of resources that Inspector covers in a registry.
const (
	resourceImage      = "AWS_ECR_CONTAINER_IMAGE"
	resourceRepository = "AWS_ECR_REPOSITORY"
)

// invalidInspector is Inspector's error for an invalid parameter.
func invalidInspector(parameter, constraint string) *apiError {
	return newError("ValidationException", "1 validation error detected: Value at '%s' failed to satisfy constraint: %s", parameter, constraint)
}

// notSimulated is the error for a parameter that is not simulated: ignoring it would give a
// wrong result.
func notSimulated(parameter string) *apiError {
	return invalidInspector(parameter, "the simulator does not know it")
}

// authorizeInspector checks the call against the policy, on the path of the operation.
func (c *call) authorizeInspector() error {
	_, path, _ := strings.Cut(c.op.route, " ")
	return c.authorize(c.server.registry.inspectorARN(path))
}

// inspectorState is the state of a scan in Inspector: its code and reason.
// See https://docs.aws.amazon.com/inspector/v2/APIReference/API_ScanStatus.html
func inspectorState(s *ScanState) (code, reason string) {
	reason = cmp.Or(s.Reason, inspectorReasons[s.Status])
	switch reason {
	case "SUCCESSFUL", "PENDING_INITIAL_SCAN", "SCAN_IN_PROGRESS", "PENDING_REVIVAL_SCAN":
		return "ACTIVE", reason
	default:
		return "INACTIVE", reason
	}
}

// inspectorReasons are the reasons for ECR's statuses. With enhanced scanning, COMPLETE is an
// image of a repository that is scanned on push only.
var inspectorReasons = map[string]string{
	scanInProgress:         "SCAN_IN_PROGRESS",
	scanComplete:           "SCAN_FREQUENCY_SCAN_ON_PUSH",
	scanFailed:             "INTERNAL_ERROR",
	scanUnsupported:        "UNSUPPORTED_OS",
	scanActive:             "SUCCESSFUL",
	scanPending:            "PENDING_INITIAL_SCAN",
	scanExpired:            "SCAN_ELIGIBILITY_EXPIRED",
	"FINDINGS_UNAVAILABLE": "NO_RESOURCES_FOUND",
	"LIMIT_EXCEEDED":       "IMAGE_SIZE_EXCEEDED",
	scanArchived:           "IMAGE_ARCHIVED",
}

// covered is a resource in Inspector: an image or a repository.
type covered struct {
	repository string
	rec        *record // nil for a repository
	state      ScanState
	use        inUse
	frequency  string
}

// cursor is the end of a page that ends with the resource. Names and digests contain no
// blank.
func (v *covered) cursor() string {
	if v.rec == nil {
		return v.repository
	}
	return v.repository + " " + v.rec.digest.String()
}

func (v *covered) resourceID(r *Registry) string {
	if v.rec == nil {
		return r.ARN(v.repository)
	}
	return r.imageARN(v.repository, v.rec.digest)
}

// coveredAfter calls yield with the resources that Inspector covers at a time, in the order
// of names and digests after a cursor, until it returns false. Repositories for which want
// is false are skipped. Inspector covers a registry only while its scanning is ENHANCED, and
// no images that were never scanned.
//
// The lock is held; resources must not be kept.
func (r *Registry) coveredAfter(cursor string, at time.Time, want func(repository string) bool, yield func(*covered) bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.scanning.Type != enhanced {
		return
	}
	after, dig, _ := strings.Cut(cursor, " ")
	first, found := slices.BinarySearch(r.names, after)
	for _, name := range r.names[first:] {
		if !want(name) {
			found = false
			continue
		}
		repo := r.repositories[name]
		row := covered{repository: name, frequency: r.scanning.frequency(name)}
		row.state = ScanState{Status: scanActive, At: repo.CreatedAt}
		// The first repository is the cursor's, if it still exists: it was on the previous
		// page.
		if !found && !yield(&row) {
			return
		}
		records := repo.images.records
		if d, ok := parseDigest(dig); ok && found {
			i, exact := repo.images.find(d)
			if exact {
				i++
			}
			records = records[i:]
		}
		found = false
		for i := range records {
			row.rec = &records[i]
			var ok bool
			if row.state, ok = r.scanAt(repo, row.rec, at); !ok {
				continue
			}
			row.use = repo.inUse(row.rec, at)
			if !yield(&row) {
				return
			}
		}
	}
}

// inUse is Inspector's data about the use of an image.
type inUse struct {
	at    int64 // Unix milliseconds, 0 for never
	count int64
}

func (repo *repository) inUse(rec *record, at time.Time) inUse {
	h, known := repo.images.scans[rec.digest]
	if known && h.complete || repo.scans == nil {
		return inUse{at: toMillis(h.LastInUseAt), count: h.InUseCount}
	}
	life := repo.scans.lifeOf(rec)
	used := fromMillis(rec.pushed).Add(life.usedAfter)
	if life.usedAfter == 0 || used.After(at) {
		return inUse{}
	}
	return inUse{at: toMillis(used), count: life.used}
}
