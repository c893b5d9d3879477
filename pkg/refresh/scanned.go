package refresh

import (
	"cmp"
	"iter"
	"slices"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// shown yields the images of a repository that have series with their scans: those not
// excluded, of the tagged ones the newest if ScanOptions.Newest is set. An index counts as one.
func (r *Refresher) shown(repository *inventory.Repository) iter.Seq[*inventory.Image] {
	return func(yield func(*inventory.Image) bool) {
		if repository.Excluded || !r.options.Includes(repository.Name) {
			return
		}
		oldest := r.oldestShown(repository)
		for i := range repository.Images {
			if image := &repository.Images[i]; r.isShown(image, oldest) && !yield(image) {
				return
			}
		}
	}
}

func (r *Refresher) isShown(image *inventory.Image, oldest inventory.Time) bool {
	if len(image.Tags) == 0 {
		return r.options.Untagged && !image.Excluded && image.Active()
	}
	return !image.Excluded && image.Active() && image.PushedAt >= oldest
}

// unread yields the indexes of a repository whose children are to be read: those shown, and all
// untagged ones if untagged images are shown, since their children are no such images.
func (r *Refresher) unread(repository *inventory.Repository) iter.Seq[*inventory.Image] {
	return func(yield func(*inventory.Image) bool) {
		if repository.Excluded || !r.options.Includes(repository.Name) {
			return
		}
		oldest := r.oldestShown(repository)
		for i := range repository.Images {
			image := &repository.Images[i]
			if !image.IsIndex() || image.Index != nil {
				continue
			}
			untagged := r.options.Untagged && len(image.Tags) == 0 && image.Active()
			if (untagged || r.isShown(image, oldest)) && !yield(image) {
				return
			}
		}
	}
}

// oldestShown returns when the oldest image was pushed of those that ScanOptions.Newest allows.
func (r *Refresher) oldestShown(repository *inventory.Repository) inventory.Time {
	newest := r.options.Scans.Newest
	if newest == 0 || len(repository.Images) <= newest {
		return 0
	}
	var pushes []inventory.Time
	for i := range repository.Images {
		if image := &repository.Images[i]; !image.Excluded && image.Tagged() {
			pushes = append(pushes, image.PushedAt)
		}
	}
	if len(pushes) <= newest {
		return 0
	}
	slices.Sort(pushes)
	return pushes[len(pushes)-newest]
}

// eachScanned calls do for each image whose scan is to be read, once: for those shown, but in
// place of an index for its children, which need no tag. pushed is when the image was pushed,
// or the newest index that lists it. An index whose children are not known is an image like
// others, unless they are about to be read.
func (r *Refresher) eachScanned(registry *inventory.Registry, do func(repository *inventory.Repository, image *inventory.Image, pushed inventory.Time)) {
	type child struct {
		digest inventory.Digest
		pushed inventory.Time
	}
	var children []child
	for _, repository := range registry.Repositories {
		children = children[:0]
		for image := range r.shown(repository) {
			switch {
			case image.Index != nil && r.options.Scans.Indexes:
				for _, entry := range image.Index.Children {
					children = append(children, child{entry.Digest, image.PushedAt})
				}
			case !r.awaitsChildren(repository, image):
				do(repository, image, image.PushedAt)
			}
		}
		if len(children) == 0 {
			continue
		}
		oldest := r.oldestShown(repository)
		slices.SortFunc(children, func(a, b child) int {
			return cmp.Or(a.digest.Compare(b.digest), cmp.Compare(b.pushed, a.pushed))
		})
		for i, entry := range children {
			if i > 0 && entry.digest == children[i-1].digest {
				continue
			}
			image := repository.FindImage(entry.digest)
			if image != nil && image.Active() && !image.IsIndex() && !r.isShown(image, oldest) {
				do(repository, image, entry.pushed)
			}
		}
	}
}

// countUnread counts the indexes whose children are to be read and not known. Of those that
// are shown and about to be read the scans are pending.
func (r *Refresher) countUnread(registry *inventory.Registry, result *Result) {
	for _, repository := range registry.Repositories {
		for image := range r.unread(repository) {
			result.Indexes.Unread++
			if !image.Excluded && r.awaitsChildren(repository, image) {
				registry.ScansPending++
			}
		}
	}
	if result.Indexes.Unread > 0 {
		result.Indexes.Off = r.indexes.off
	}
}

// sumUp gives indexes the scans that their children's add up to, and repositories what their
// images do.
func (r *Refresher) sumUp(registry *inventory.Registry, repositories []*inventory.Repository) {
	for _, repository := range repositories {
		if r.options.Scans.Indexes {
			registry.SumIndexes(repository, r.options.Platforms)
		}
		registry.Summarize(repository)
	}
}
