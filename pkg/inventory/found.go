package inventory

import (
	"cmp"
	"slices"
	"time"
)

// Found says since when, at most, a repository has had changes that no push has shown yet. Each
// time is the earliest of its kind, and zero if there is none.
//
// Only what happened after the reading before counts: what a cold start or a new setting
// finds has been there for months, and is not late.
type Found struct {
	// Pushed is when a tagged image was pushed, by ECR.
	Pushed Time
	// Scanned is when a scan was completed, by ECR or Inspector.
	Scanned Time
	// Deleted is when an image, or the repository, was last seen before it was gone. When it was
	// deleted after that no API says.
	Deleted Time
	// Since is when the repository was listed before the changes.
	Since Time
}

func (f Found) earliest(other Found) Found {
	return Found{
		earlier(f.Pushed, other.Pushed), earlier(f.Scanned, other.Scanned),
		earlier(f.Deleted, other.Deleted), earlier(f.Since, other.Since),
	}
}

// earlier returns the earlier one of two moments that are known.
func earlier(a, b Time) Time {
	if a.IsZero() || b.IsZero() {
		return cmp.Or(a, b)
	}
	return min(a, b)
}

// found notes changes of a repository.
func (r *Registry) found(name string, changes Found) {
	if changes == (Found{}) {
		return
	}
	if r.Found == nil {
		r.Found = map[string]Found{}
	}
	r.Found[name] = r.Found[name].earliest(changes)
}

// precision is that of the times that APIs report: they may leave out the part of a second.
const precision = Time(time.Second / time.Millisecond)

// foundImage notes an image that the listing before did not have, if it was pushed since.
func (r *Registry) foundImage(name string, image *Image, since Time) {
	if image.Tagged() && !since.IsZero() && image.PushedAt+precision > since {
		r.found(name, Found{Pushed: image.PushedAt})
	}
	r.foundScan(name, image.Scan, nil, since)
}

// foundDeleted notes that a repository is gone, or another one has its name.
func (r *Registry) foundDeleted(old *Repository) {
	if old.Shown {
		r.found(old.Name, Found{Deleted: max(r.ListedAt, old.ReadAt, old.ImagesReadAt)})
	}
}

// sameScan is within which two times of completion are those of one scan: an event has another one
// than the API.
const sameScan = Time(time.Minute / time.Millisecond)

// foundScan notes the result of a scan, if it was completed since the one before was read; if none
// was, since the listing before.
func (r *Registry) foundScan(name string, now, before *Scan, since Time) {
	completed := Time(0)
	if before != nil {
		completed, since = before.CompletedAt+sameScan, cmp.Or(before.AskedAt, since)
	}
	if now != nil && now.CompletedAt > completed && !since.IsZero() && now.CompletedAt+precision > since {
		r.found(name, Found{Scanned: now.CompletedAt})
	}
}

// TakeFound returns the earliest changes that a push has shown, and forgets them. With names it
// was a push of these repositories only.
func (r *Registry) TakeFound(names []string) (shown Found) {
	for name, changes := range r.Found {
		if names == nil || slices.Contains(names, name) {
			shown = shown.earliest(changes)
			delete(r.Found, name)
		}
	}
	return shown
}
