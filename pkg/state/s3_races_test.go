package state_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// Before each request of a save, another environment saves or the object is deleted. No
// record of either environment is lost.
func TestS3Races(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for _, begin := range []string{"no object", "an object both loaded", "an object neither loaded"} {
		for _, meanwhile := range []string{"save", "delete", "delete and save"} {
			for step := range 4 {
				name := fmt.Sprintf("%s, %s before request %d", begin, meanwhile, step+1)
				if err := b.remove(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				ours, theirs := b.store(io.Discard), b.store(io.Discard)
				if begin != "no object" {
					if err := b.store(io.Discard).Save(t.Context(), with("base"), true); err != nil {
						t.Fatal(err)
					}
				}
				known := func() *inventory.Registry { return with() }
				if begin == "an object both loaded" {
					known = func() *inventory.Registry { return with("base") }
					for _, store := range []*state.Store{ours, theirs} {
						if _, err := store.Load(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				happened := false
				n := 0
				b.intercept(func(http.ResponseWriter, *http.Request) bool {
					if n++; n != step+1 || happened {
						return false
					}
					happened = true
					err := error(nil)
					if meanwhile != "save" {
						err = b.remove(t.Context(), key)
					}
					if meanwhile != "delete" {
						registry := known()
						registry.SetRepository(&inventory.Repository{Name: "theirs", CreatedAt: 1})
						err = errors.Join(err, theirs.Save(t.Context(), registry, true))
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					return false
				})
				registry := known()
				registry.SetRepository(&inventory.Repository{Name: "ours", CreatedAt: 1})
				if err := ours.Save(t.Context(), registry, true); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				b.intercept(nil)
				want := []string{"ours"}
				if happened && meanwhile != "delete" {
					want = append(want, "theirs")
				}
				// What was deleted before any environment loaded it is lost.
				deleted := happened && meanwhile != "save"
				if begin == "an object both loaded" || begin == "an object neither loaded" && !deleted {
					want = append(want, "base")
				}
				got := b.stored(t)
				for _, repository := range want {
					if !slices.Contains(got, repository) {
						t.Errorf("%s: stored are %v, want %v", name, got, want)
					}
				}
				if diff := cmp.Diff(got, names(registry)); diff != "" {
					t.Errorf("%s: the copy in memory differs from what was stored (-stored +memory):\n%s", name, diff)
				}
			}
		}
	}
}

// Many environments save at once, several times each. No record is lost.
func TestS3Crowd(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	const environments, rounds = 8, 3
	var wait sync.WaitGroup
	var want []string
	for e := range environments {
		for round := range rounds {
			want = append(want, fmt.Sprintf("repo-%d-%d", e, round))
		}
		wait.Go(func() {
			store := b.store(io.Discard)
			registry := with()
			for round := range rounds {
				registry.SetRepository(&inventory.Repository{Name: fmt.Sprintf("repo-%d-%d", e, round), CreatedAt: 1, ImagesReadAt: 2})
				if err := store.Save(t.Context(), registry, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(want, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
