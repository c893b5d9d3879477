package inventory_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// asStored compares what is stored of registries.
var asStored = cmp.Options{cmpopts.IgnoreFields(inventory.Registry{}, "Unsaved", "Ends", "Found"), cmpopts.IgnoreFields(inventory.Mark{}, "Pending", "Excluded"), cmpopts.EquateEmpty()}

func encodeChanges(tb testing.TB, registry *inventory.Registry) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := inventory.EncodeChanges(&out, registry); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// restore is a cold start from a whole and the changes since.
func restore(tb testing.TB, whole, changes []byte) *inventory.Registry {
	tb.Helper()
	registry, err := inventory.Decode(bytes.NewReader(whole))
	if err != nil {
		tb.Fatal(err)
	}
	if err := inventory.DecodeChanges(bytes.NewReader(changes), registry); err != nil {
		tb.Fatal(err)
	}
	return derive(registry)
}

// A whole and the changes since it was stored make the registry as it is, whatever happens
// to it in between, cold starts included.
func TestChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40 / fewer) {
		rng := rand.New(rand.NewPCG(seed, 11))
		r := derive(&inventory.Registry{ID: "123456789012"})
		var whole []byte
		at := inventory.Time(0)
		images := func() (list []inventory.Image) {
			for d := byte(1); d < 6; d++ {
				if rng.IntN(3) > 0 {
					list = append(list, img(d, fmt.Sprint("v", rng.IntN(3)*10+int(d))))
				}
			}
			return list
		}
		some := func() *inventory.Repository {
			if len(r.Repositories) == 0 {
				return nil
			}
			return r.Repositories[rng.IntN(len(r.Repositories))]
		}
		for step := range 60 {
			at += minute
			one := some()
			switch what := rng.IntN(12); {
			case what == 0 || one == nil:
				var list []*inventory.Repository
				for _, name := range []string{"a", "b", "c", "d"} {
					if rng.IntN(4) > 0 {
						record := remade(name, inventory.Time(1+rng.IntN(2)), 0)
						record.TagMutability = []string{"MUTABLE", "IMMUTABLE"}[rng.IntN(2)]
						list = append(list, record)
					}
				}
				r.SetRepositories(list, at)
			case what < 4:
				r.SetImages(one, images(), at)
			case what < 6 && len(one.Images) > 0:
				r.SetScan(one, &one.Images[rng.IntN(len(one.Images))], &inventory.Scan{Status: inventory.WordOf([]string{"COMPLETE", "FAILED"}[rng.IntN(2)]), AskedAt: at})
			case what == 6:
				r.Remove(one.Name)
			case what == 7:
				r.Update(one, func(repository *inventory.Repository) { repository.Due = !repository.Due })
			case what == 8:
				r.Forget(one)
				r.AddDueName([]string{"a", "e", "f"}[rng.IntN(3)])
			default:
				for _, repository := range r.Repositories {
					repository.Excluded = rng.IntN(5) == 0
				}
				shape := inventory.Shape{NewestImages: rng.IntN(2)}
				r.Pushing(at, shape, nil)
				if what > 9 {
					r.Pushed(at, shape, what > 10, nil)
				}
			}
			switch {
			case r.Whole == "" || rng.IntN(8) == 0:
				r.Whole = fmt.Sprint(step)
				whole, r.Unsaved = encode(t, r), inventory.Unsaved{}
			case r.Unsaved.All:
				t.Fatalf("seed %d: the changes are not named", seed)
			case rng.IntN(2) == 0:
				restored := restore(t, whole, encodeChanges(t, r))
				if diff := cmp.Diff(r, restored, asStored); diff != "" {
					t.Fatalf("seed %d, step %d: restored (-want +got):\n%s", seed, step, diff)
				}
				if rng.IntN(3) == 0 {
					r = restored // a cold start, which goes on with the same whole
				}
			}
		}
	}
}

// Changes that stay although the whole that was stored since has them, or that another
// environment made at the same moment, take nothing from that whole.
func TestChangesOfAnotherWhole(t *testing.T) {
	t.Parallel()
	r := derive(&inventory.Registry{ID: "123456789012"})
	r.SetRepositories([]*inventory.Repository{repo("a", 0), repo("b", 0)}, minute)
	r.SetImages(r.Find("a"), []inventory.Image{img(1, "v1")}, 2*minute)
	r.Whole, r.Unsaved = "first", inventory.Unsaved{}
	first := encode(t, r)
	r.SetImages(r.Find("a"), []inventory.Image{img(2, "v2")}, 3*minute)
	old := encodeChanges(t, r)
	r.SetImages(r.Find("a"), []inventory.Image{img(3, "v3")}, 4*minute)
	r.Remove("b")
	r.Whole = "second"
	second := encode(t, r)
	if diff := cmp.Diff(r, restore(t, second, old), asStored); diff != "" {
		t.Errorf("changes that the whole has (-want +got):\n%s", diff)
	}
	theirs := restore(t, first, old)
	theirs.SetImages(theirs.Find("a"), []inventory.Image{img(4, "v4")}, 5*minute)
	merged := restore(t, second, encodeChanges(t, theirs))
	if a := merged.Find("a"); a.FindImage(digest(4)) == nil || merged.Find("b") != nil || !merged.Unsaved.All {
		t.Errorf("what another environment read later is lost, or what was deleted is back: %+v", a)
	}
}

func TestDecodeChangesDamaged(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Whole = "w"
	whole := encode(t, r)
	r.Unsaved = inventory.Unsaved{}
	r.SetScan(r.Repositories[1], &r.Repositories[1].Images[1], &inventory.Scan{Status: inventory.WordOf("FAILED")})
	good := encodeChanges(t, r)
	decode := func(changes []byte) error {
		registry, err := inventory.Decode(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		return inventory.DecodeChanges(bytes.NewReader(changes), registry)
	}
	if err := decode(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if err := decode(good[:n]); !errors.Is(err, inventory.ErrFormat) {
			t.Fatalf("cut to %d of %d bytes: error %v, want ErrFormat", n, len(good), err)
		}
	}
	for name, damaged := range map[string][]byte{
		"a whole":           whole,
		"hostile numbers":   zipped(t, m{1: "ecr-remote-write inventory changes", 2: 2, 3: 1}, m{14: "w"}, m{1: "a", 2: m{1: "a"}, 5: 1 << 60}),
		"a negative number": zipped(t, m{1: "ecr-remote-write inventory changes", 2: 2, 3: 1}, m{14: "w"}, m{1: "a", 2: m{1: "a"}, 5: -1}, m{1: 0}),
		"images not sorted": zipped(t, m{1: "ecr-remote-write inventory changes", 2: 2, 3: 1}, m{14: "w"}, m{1: "a", 2: m{1: "a"}, 3: true, 5: 2}, m{1: digest(2)}, m{1: digest(1)}, m{1: 2}),
	} {
		if err := decode(damaged); !errors.Is(err, inventory.ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

// Too many changes are not named one by one.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	r := generate(100_000)
	r.Whole, r.Unsaved = "w", inventory.Unsaved{}
	for _, repository := range r.Repositories[:499] {
		r.Forget(repository)
	}
	if u := r.Unsaved; u.All || u.NamedImages != 49_900 {
		t.Errorf("%d images are named, all %v", u.NamedImages, u.All)
	}
	for _, repository := range r.Repositories[499:600] {
		r.Forget(repository)
	}
	if u := r.Unsaved; !u.All || !u.Any || u.Repositories != nil {
		t.Errorf("%d images are named, all %v", u.NamedImages, u.All)
	}
}
