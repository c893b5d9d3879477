package contracttest

import (
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// IndexScansAt is ScansAt of a function that reads the children of indexes: the scan of an
// index is what those of its platforms' images add up to. A pod runs one of them, so each
// severity has the highest count.
func IndexScansAt(registry *ecrtest.Registry, at time.Time) Scans {
	own := ScansAt(registry, at)
	return func(repository string, image ecrtest.Image) (ecrtest.ScanState, bool) {
		if len(image.Children) == 0 {
			return own(repository, image)
		}
		scans := childScans(registry, own, repository, image, true)
		supported := slices.DeleteFunc(slices.Clone(scans), func(s ecrtest.ScanState) bool { return s.Status == unsupported })
		if len(supported) == 0 {
			return ecrtest.ScanState{Status: unsupported}, true
		}
		return sum(supported), true
	}
}

const unsupported = "UNSUPPORTED_IMAGE"

// childScans are the scans of the images of an index that are in the registry and not
// archived, those of an index within it included.
func childScans(registry *ecrtest.Registry, own Scans, repository string, index ecrtest.Image, nested bool) []ecrtest.ScanState {
	var scans []ecrtest.ScanState
	for _, child := range index.Children {
		image, ok := registry.Image(repository, child.Digest)
		switch {
		case !ok || child.Attests() || image.Status != "" && image.Status != "ACTIVE":
		case len(image.Children) > 0:
			if nested {
				scans = append(scans, childScans(registry, own, repository, image, false)...)
			}
		default:
			scan, _ := own(repository, image)
			scans = append(scans, scan)
		}
	}
	return scans
}

// worst are the statuses of a child that an index has too, in this order; otherwise it is
// ACTIVE, or COMPLETE.
var worst = []string{
	"FAILED", "LIMIT_EXCEEDED", "FINDINGS_UNAVAILABLE", "SCAN_NOT_FOUND", "PENDING", "IN_PROGRESS", "SCAN_ELIGIBILITY_EXPIRED", "ACTIVE", "COMPLETE",
}

// sum is what some scans add up to.
func sum(scans []ecrtest.ScanState) ecrtest.ScanState {
	total := ecrtest.ScanState{CompletedAt: scans[0].CompletedAt}
	complete := true
	for _, scan := range scans {
		if total.Status == "" || slices.Index(worst, scan.Status) < slices.Index(worst, total.Status) {
			total.Status = scan.Status
		}
		if scan.CompletedAt.Before(total.CompletedAt) {
			total.CompletedAt = scan.CompletedAt
		}
		complete = complete && !scan.CompletedAt.IsZero()
		for severity, count := range scan.Counts {
			if total.Counts == nil {
				total.Counts = map[string]int32{}
			}
			total.Counts[severity] = max(total.Counts[severity], count)
		}
	}
	if !complete {
		total.CompletedAt = time.Time{}
	}
	return total
}
