package inventory

import "slices"

// Merge takes over from another copy of the inventory what it knows better: of
// each repository and each scan the record read last wins. Two execution
// environments that work on one stored state so lose nothing of each other's.
//
// A copy of another registry is not merged.
func (r *Registry) Merge(other *Registry) {
	if r.ID != "" && other.ID != "" && r.ID != other.ID {
		return
	}
	if r.ID == "" {
		r.ID = other.ID
	}
	later := other.ListedAt > r.ListedAt
	var merged []*Repository
	for _, repo := range r.Repositories {
		if theirs := other.Find(repo.Name); theirs != nil {
			merged = append(merged, r.mergeRepository(repo, theirs, later))
		} else if !later || repo.ImagesReadAt > other.ListedAt {
			merged = append(merged, repo)
		} else {
			r.end(repo, repo.Images)
		}
	}
	for _, theirs := range other.Repositories {
		// A repository that only they know of is new to us, or gone.
		if r.Find(theirs.Name) == nil && (later || theirs.ImagesReadAt > r.ListedAt) {
			merged = append(merged, theirs)
		}
	}
	slices.SortFunc(merged, byRepositoryName)
	r.Repositories = merged
	if later {
		r.ListedAt, r.ScanSource = other.ListedAt, other.ScanSource
	}
	r.PushedAt = max(r.PushedAt, other.PushedAt)
	r.ScansListedAt = max(r.ScansListedAt, other.ScansListedAt)
	for _, ended := range other.Ended {
		r.end(ended, ended.Images)
	}
}

// mergeRepository returns ours with what theirs knows better; later says that
// their list of repositories is the newer one.
func (r *Registry) mergeRepository(ours, theirs *Repository, later bool) *Repository {
	if ours.URI != theirs.URI || ours.CreatedAt != theirs.CreatedAt {
		if !later {
			return ours
		}
		r.end(ours, ours.Images)
		return theirs
	}
	if theirs.ImagesReadAt > ours.ImagesReadAt {
		scans := Repository{Images: ours.Images}
		list := theirs.Images
		for i := range list {
			if old := scans.FindImage(list[i].Digest); old != nil {
				list[i].Scan = newerScan(list[i].Scan, old.Scan)
			}
		}
		r.endImages(ours, list)
		ours.Images, ours.ImagesReadAt, ours.Due = list, theirs.ImagesReadAt, theirs.Due
	} else {
		for i := range ours.Images {
			image := &ours.Images[i]
			if theirs := theirs.FindImage(image.Digest); theirs != nil {
				if scan := newerScan(image.Scan, theirs.Scan); scan != image.Scan {
					r.SetScan(ours, image, scan)
				}
			}
		}
	}
	if theirs.TriedAt > ours.TriedAt {
		ours.TriedAt, ours.Denied = theirs.TriedAt, theirs.Denied
	}
	if !later {
		return ours
	}
	// Their description of the repository is the newer one.
	described := *theirs
	return r.describe(&described)
}

// newerScan returns the answer that was got last; of two as old as each other, a.
func newerScan(a, b *Scan) *Scan {
	switch {
	case a == nil:
		return b
	case b == nil || b.AskedAt <= a.AskedAt:
		return a
	}
	return b
}
