package inventory

// A filter leaves repositories and images out of what is shown without forgetting
// them: their records are marked Hidden. That is state, not a view, because whether a
// series has to be ended depends on whether it was shown before. pkg/selection settles
// it from the configuration, between a refresh and a push.
//
// Of a repository that is hidden every image is hidden too.

// SetHidden hides a repository and its images, or shows the repository again: its
// images then are for SetImageHidden to settle. What is hidden and was shown has ended.
// It reports whether the repository's record changed.
func (r *Registry) SetHidden(repo *Repository, hidden bool) bool {
	if repo.Hidden == hidden {
		return false
	}
	if hidden {
		r.end(repo, repo.Images)
		for i := range repo.Images {
			repo.Images[i].Hidden = true
		}
	}
	repo.Hidden = hidden
	return true
}

// SetImageHidden hides an image of a repository that is shown, or shows it again. What
// is hidden and was shown has ended. It reports whether the image's record changed.
func (r *Registry) SetImageHidden(repo *Repository, image *Image, hidden bool) bool {
	if image.Hidden == hidden {
		return false
	}
	if hidden && image.Shown() {
		r.end(repo, []Image{*image})
	}
	image.Hidden = hidden
	return true
}

// Shown reports whether the image has series.
func (i *Image) Shown() bool { return !i.Hidden && i.taggedActive() }

// taggedActive reports whether the image has series unless it is hidden.
func (i *Image) taggedActive() bool { return len(i.Tags) > 0 && i.Active() }

// beginsHidden reports whether a new record of an image begins hidden; old is the
// former one, nil if there is none. While an image has series a new record goes on as
// the old one did. Without them it is as good as new: what it gets has not been shown.
func (r *Registry) beginsHidden(repo *Repository, old *Image) bool {
	if old != nil && (old.Hidden || old.taggedActive()) {
		return old.Hidden
	}
	return r.BeginHidden || repo.Hidden
}
