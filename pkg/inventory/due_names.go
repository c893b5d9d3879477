package inventory

import "slices"

// MaxDueNames bounds Registry.DueNames. One listing of the registry reads more names than a
// few dozen faster than one call each, and reads those that there was no room for, too.
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
