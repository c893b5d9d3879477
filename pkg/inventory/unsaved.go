package inventory

// Unsaved names the records that changed since the registry was stored as a whole. So a
// small object can be stored instead (see EncodeChanges).
type Unsaved struct {
	// Any is set if something changed since the registry was last stored, in whole or as
	// changes.
	Any bool
	// All is set if the records are not named, because there are too many.
	All bool
	// Repositories are the repositories with changed records, by name.
	Repositories map[string]*UnsavedRepository

	// NamedImages is the number of images that are named.
	NamedImages int
}

// UnsavedRepository is a repository whose own record, or images, changed.
type UnsavedRepository struct {
	// All is set if every image may have changed.
	All bool
	// Images are those that changed or are gone.
	Images map[Digest]struct{}
}

// maxUnsavedImages bounds the images that are named. Each takes about 60 bytes of memory and
// 60 to 100 bytes of the stored form.
const maxUnsavedImages = 50_000

// note names a repository as changed.
func (u *Unsaved) note(name string) *UnsavedRepository {
	u.Any = true
	if u.All {
		return nil
	}
	if u.Repositories == nil {
		u.Repositories = map[string]*UnsavedRepository{}
	}
	if u.Repositories[name] == nil {
		u.Repositories[name] = &UnsavedRepository{}
	}
	return u.Repositories[name]
}

// noteImage names an image as changed.
func (u *Unsaved) noteImage(repository string, digest Digest) {
	named := u.note(repository)
	if named == nil || named.All {
		return
	}
	if _, known := named.Images[digest]; known {
		return
	}
	if named.Images == nil {
		named.Images = map[Digest]struct{}{}
	}
	named.Images[digest] = struct{}{}
	if u.NamedImages++; u.NamedImages > maxUnsavedImages {
		u.noteAll()
	}
}

// noteImages names all images of a repository as changed.
func (u *Unsaved) noteImages(repository *Repository) {
	named := u.note(repository.Name)
	if named == nil {
		return
	}
	u.NamedImages += len(repository.Images) - len(named.Images)
	named.All, named.Images = true, nil
	if u.NamedImages > maxUnsavedImages {
		u.noteAll()
	}
}

// noteAll gives up naming records.
func (u *Unsaved) noteAll() { *u = Unsaved{Any: true, All: true} }
