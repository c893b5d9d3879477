package inventory

import "slices"

// A series ends when what it was about is no longer so: an image deleted, a tag
// moved, a setting changed. Receivers show a series until its staleness marker or
// for the five minutes of the lookback, so each change keeps the former record in
// Registry.Ended, of which pkg/metrics makes the markers.
//
// While pushes fail there can be several former records of one thing. All are
// kept: which of them a receiver took in part is not known, and a marker too many
// does no harm.

// end keeps a former record of a repository, with some of its images, until a push
// has told of its end. Before the first push nothing has begun that could end.
func (r *Registry) end(old *Repository, images []Image) {
	if !r.PushedAt.IsZero() {
		r.keepFormer(old, images)
	}
}

// keepFormer is end for what is known to have been pushed. Of what was hidden there
// is nothing to keep, and what is kept is not: it had series.
func (r *Registry) keepFormer(old *Repository, images []Image) {
	if old.Hidden {
		return
	}
	i, _ := slices.BinarySearchFunc(r.Ended, old, byRepositoryName)
	for ; i < len(r.Ended) && r.Ended[i].Name == old.Name; i++ {
		if r.Ended[i].sameSeries(old) {
			break
		}
	}
	if i == len(r.Ended) || r.Ended[i].Name != old.Name {
		former := *old
		former.Images, former.Unsent = nil, false
		r.Ended = slices.Insert(r.Ended, i, &former)
	}
	for _, image := range images {
		if image.Shown() {
			r.Ended[i].Images = append(r.Ended[i].Images, image)
		}
	}
}

// compactEnded leaves out former records of images that have no series which
// another one has not: merging with the same copy again must not let them grow.
func (r *Registry) compactEnded() {
	for _, former := range r.Ended {
		slices.SortStableFunc(former.Images, func(a, b Image) int { return a.Digest.Compare(b.Digest) })
		kept := former.Images[:0]
		for _, image := range former.Images {
			known := false
			for i := len(kept) - 1; i >= 0 && kept[i].Digest == image.Digest && !known; i-- {
				known = !imageEnds(&image, &kept[i])
			}
			if !known {
				kept = append(kept, image)
			}
		}
		former.Images = kept
	}
}

// endImages keeps the images whose series are not all among those of a new list,
// which is sorted.
func (r *Registry) endImages(repo *Repository, list []Image) {
	next := Repository{Images: list}
	var ended []Image
	for i := range repo.Images {
		old := &repo.Images[i]
		if imageEnds(old, next.FindImage(old.Digest)) {
			ended = append(ended, *old)
		}
	}
	if len(ended) > 0 {
		r.end(repo, ended)
	}
}

// imageEnds reports whether a record of an image has a series that the next record
// of it, nil if there is none, has not.
func imageEnds(old, next *Image) bool {
	if !old.Shown() {
		return false
	}
	if next == nil || !next.Shown() || old.SizeBytes >= 0 && next.SizeBytes < 0 || !old.PushedAt.IsZero() && next.PushedAt.IsZero() {
		return true
	}
	for _, tag := range old.Tags {
		if _, still := slices.BinarySearch(next.Tags, tag); !still {
			return true
		}
	}
	return scanEnds(old.Scan, next.Scan)
}

// scanEnds is imageEnds for what is known of the scan.
func scanEnds(old, next *Scan) bool {
	if old == nil || old == next {
		return false
	}
	if next == nil || old.Status != next.Status || !old.CompletedAt.IsZero() && next.CompletedAt.IsZero() {
		return true
	}
	for _, known := range old.Severities {
		if !slices.ContainsFunc(next.Severities, func(s SeverityCount) bool { return s.Severity == known.Severity }) {
			return true
		}
	}
	return false
}

// Pushed notes that a push arrived, at least in part, whose samples are of a
// moment. If it arrived whole, the markers of what had ended were in it.
func (r *Registry) Pushed(at Time, whole bool) {
	r.PushedAt = max(r.PushedAt, at)
	if whole {
		r.Ended = nil
	}
}

// PushedRepositories is Pushed for a push of some repositories only.
func (r *Registry) PushedRepositories(at Time, whole bool, names ...string) {
	r.PushedAt = max(r.PushedAt, at)
	if whole {
		r.Ended = slices.DeleteFunc(r.Ended, func(e *Repository) bool { return slices.Contains(names, e.Name) })
	}
}
