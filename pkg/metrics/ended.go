package metrics

import (
	"iter"
	"math"
	"slices"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// StaleMarker is the value that ends a series: a NaN with bits of its own
// (https://prometheus.io/docs/specs/prw/remote_write_spec/#stale-markers).
var StaleMarker = math.Float64frombits(0x7ff0000000000002)

// Ended yields, with the value StaleMarker, every series that the former records in
// registry.Ended had and the present ones have not, each once. It allocates for
// each: what ends is little beside what is.
func Ended(registry *inventory.Registry, families []*Family, options Options) iter.Seq[Series] {
	options.RepositoriesOnly = true
	return func(yield func(Series) bool) {
		for formers := range byName(registry.Ended) {
			alive := map[string]bool{}
			if now := registry.Find(formers[0].Name); now != nil {
				for s := range All(only(selection(now, formers)), families, options) {
					alive[s.key()] = true
				}
			}
			for _, former := range formers {
				for s := range All(only(former), families, options) {
					key := s.key()
					if alive[key] {
						continue
					}
					alive[key] = true // what is ended already
					s.Value = StaleMarker
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// byName yields the runs of records with the same name.
func byName(sorted []*inventory.Repository) iter.Seq[[]*inventory.Repository] {
	return func(yield func([]*inventory.Repository) bool) {
		for len(sorted) > 0 {
			n := 1
			for n < len(sorted) && sorted[n].Name == sorted[0].Name {
				n++
			}
			if !yield(sorted[:n]) {
				return
			}
			sorted = sorted[n:]
		}
	}
}

// selection is a repository with those of its images only that the former records
// have too: a digest is a label of every image's series, so no other can have one
// of theirs.
func selection(now *inventory.Repository, formers []*inventory.Repository) *inventory.Repository {
	selected := *now
	selected.Images = nil
	seen := map[inventory.Digest]bool{}
	for _, former := range formers {
		for i := range former.Images {
			digest := former.Images[i].Digest
			if image := now.FindImage(digest); image != nil && !seen[digest] {
				selected.Images = append(selected.Images, *image)
			}
			seen[digest] = true
		}
	}
	return &selected
}

func only(repository *inventory.Repository) *inventory.Registry {
	return &inventory.Registry{Repositories: []*inventory.Repository{repository}}
}

// key tells series apart.
func (s Series) key() string {
	var b []byte
	for _, label := range s.Labels {
		if label.Value != "" {
			b = append(b, label.Name...)
			b = append(b, 0xff) // in no UTF-8 text
			b = append(b, label.Value...)
			b = append(b, 0xff)
		}
	}
	return string(b)
}

// Some returns a registry with the repositories of those names only, for use with
// Options.RepositoriesOnly. Names that are not known are left out.
func Some(registry *inventory.Registry, names []string) *inventory.Registry {
	some := &inventory.Registry{}
	for _, repository := range registry.Repositories {
		if slices.Contains(names, repository.Name) {
			some.Repositories = append(some.Repositories, repository)
		}
	}
	for _, former := range registry.Ended {
		if slices.Contains(names, former.Name) {
			some.Ended = append(some.Ended, former)
		}
	}
	return some
}
