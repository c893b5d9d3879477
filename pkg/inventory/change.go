package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SetRepositories replaces the list of repositories by a new, complete one read
// at a moment. A repository that was known keeps its images and their freshness;
// one that is not in the list has ended. One that was deleted and made again, or
// that is of another registry, has a name in common with the known one and no
// more. Of two records of one name the later in the list wins: pages of a listing
// may overlap.
func (r *Registry) SetRepositories(list []*Repository, at Time) {
	byName := make(map[string]*Repository, len(list))
	for _, repo := range list {
		byName[repo.Name] = repo
	}
	for _, old := range r.Repositories {
		if byName[old.Name] == nil {
			r.remove(old, at)
			r.end(old, old.Images)
		}
	}
	next := make([]*Repository, 0, len(byName))
	for _, repo := range byName {
		next = append(next, r.describe(repo))
		if repo.RegistryID != "" {
			r.ID = repo.RegistryID
		}
	}
	slices.SortFunc(next, byRepositoryName)
	r.Repositories = next
	r.ListedAt = at
	r.Removed = stillNeeded(r.Removed, at)
}

// SetRepository puts one repository's record in the list, as SetRepositories does.
func (r *Registry) SetRepository(repo *Repository) {
	repo = r.describe(repo)
	if i, found := slices.BinarySearchFunc(r.Repositories, repo, byRepositoryName); found {
		r.Repositories[i] = repo
	} else {
		r.Repositories = slices.Insert(r.Repositories, i, repo)
	}
}

func byRepositoryName(a, b *Repository) int { return strings.Compare(a.Name, b.Name) }

// describe takes over into a new record what is known of a repository's images, and
// of what became of its series.
func (r *Registry) describe(repo *Repository) *Repository {
	old := r.Find(repo.Name)
	switch {
	case old == nil:
		repo.Hidden = r.BeginHidden
		return repo
	case old.URI != repo.URI || old.CreatedAt != repo.CreatedAt:
		r.end(old, old.Images)
		repo.Hidden = r.BeginHidden
		return repo
	case old.RegistryID != repo.RegistryID:
		r.end(old, old.Images)
	case !old.sameSeries(repo):
		r.end(old, nil) // the series of its images go on
	}
	repo.ImagesReadAt, repo.TriedAt, repo.Denied, repo.Due = old.ImagesReadAt, old.TriedAt, old.Denied, old.Due
	repo.Images, repo.ScansDueSince = old.Images, old.ScansDueSince
	repo.Hidden, repo.Unsent = old.Hidden, old.Unsent
	return repo
}

// sameSeries reports whether two records of a repository have the same labels.
func (r *Repository) sameSeries(other *Repository) bool {
	onPush := func(r *Repository) string {
		if r.ScanOnPush == nil {
			return ""
		} else if *r.ScanOnPush {
			return "true"
		}
		return "false"
	}
	return r.URI == other.URI && r.RegistryID == other.RegistryID && r.TagMutability == other.TagMutability &&
		r.EncryptionType == other.EncryptionType && onPush(r) == onPush(other)
}

// Remove forgets a repository, which the API has just said does not exist.
func (r *Registry) Remove(name string) {
	if old := r.Find(name); old != nil {
		r.remove(old, TimeOf(time.Now()))
		r.end(old, old.Images)
	}
	r.Repositories = slices.DeleteFunc(r.Repositories, func(e *Repository) bool { return e.Name == name })
}

// SetImages replaces a repository's images by a new, complete listing that began
// at a moment. An image that was known keeps its scan unless the listing brought
// one, and stays hidden if it was.
//
// Images are made distinct by digest, and a tag is left on one image only, the
// one pushed last: pages of one listing are read one after the other, and a tag
// that moves in between is seen on both images.
func (r *Registry) SetImages(repo *Repository, list []Image, at Time) {
	slices.SortFunc(list, func(a, b Image) int { return a.Digest.Compare(b.Digest) })
	list = slices.CompactFunc(list, func(a, b Image) bool { return a.Digest == b.Digest })
	owner := make(map[string]int, len(list))
	for i := range list {
		slices.Sort(list[i].Tags)
		for _, tag := range list[i].Tags {
			if j, taken := owner[tag]; !taken || newer(&list[i], &list[j]) {
				owner[tag] = i
			}
		}
	}
	for i := range list {
		image := &list[i]
		image.Tags = slices.Clip(slices.DeleteFunc(slices.Compact(image.Tags), func(tag string) bool { return owner[tag] != i }))
		old := repo.FindImage(image.Digest)
		if old != nil && !tellsMore(image.Scan, old.Scan) {
			image.Scan = old.Scan
		}
		image.Hidden = r.beginsHidden(repo, old)
	}
	list = slices.Clip(list)
	r.endImages(repo, list)
	repo.Images = list
	repo.ImagesReadAt, repo.TriedAt, repo.Denied, repo.Due = at, max(at, repo.TriedAt), false, false
}

// tellsMore reports whether what a listing tells of a scan is to take the place of
// what is known: not if it tells nothing, and not if an answer that was asked for is
// as new.
func tellsMore(told, known *Scan) bool {
	switch {
	case told == nil:
		return false
	case known == nil || known.AskedAt.IsZero():
		return true
	default:
		return told.CompletedAt > known.CompletedAt
	}
}

// newer reports whether a has a better claim to a tag than b: an active image
// first, then the later push.
func newer(a, b *Image) bool {
	if a.Active() != b.Active() {
		return a.Active()
	}
	return cmp.Compare(a.PushedAt, b.PushedAt) > 0
}

// SetScan replaces what is known of an image's scan.
func (r *Registry) SetScan(repo *Repository, image *Image, scan *Scan) {
	old := *image
	image.Scan = scan
	if imageEnds(&old, image) {
		r.end(repo, []Image{old})
	}
}
