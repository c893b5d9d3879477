package inventory

import (
	"slices"
	"time"
)

// MaxDueNames bounds Registry.DueNames. Names beyond it need not be kept: with so many, the
// next run lists all repositories (see pkg/refresh).
const MaxDueNames = 100

// AddDueName notes that a repository's own record is to be read.
func (r *Registry) AddDueName(name string) {
	i, known := slices.BinarySearch(r.DueNames, name)
	if known || len(r.DueNames) >= MaxDueNames {
		return
	}
	r.DueNames = slices.Insert(r.DueNames, i, name)
	r.Unsaved.Any = true
}

// dropDueName notes that a repository's own record was read, or that there is none.
func (r *Registry) dropDueName(name string) {
	if i, known := slices.BinarySearch(r.DueNames, name); known {
		r.DueNames = slices.Delete(r.DueNames, i, i+1)
		r.Unsaved.Any = true
	}
}

// dueInFull makes the images and scans of another copy's repository due if the registry has
// only its name, because an event reported it: which of them changed was not kept.
func (r *Registry) dueInFull(repository *Repository) {
	if _, due := slices.BinarySearch(r.DueNames, repository.Name); due {
		repository.Due, repository.ScansDueSince = true, max(repository.ScansDueSince, TimeOf(time.Now()))
	}
}
