package inventory

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"time"
)

// Shape is every setting that decides which records have series and how these are
// labelled. pkg/metrics and pkg/selection are configured by it and by nothing else, so
// that the series a record was pushed with can be derived after a setting changed.
type Shape struct {
	// External are labels put on every series, by name.
	External map[string]string `cbor:"1,keyasint,omitempty" json:"external_labels,omitempty"`
	// Families, Repositories and Tags are shown if their names match.
	Families     Filter `cbor:"2,keyasint,omitzero" json:"families,omitzero"`
	Repositories Filter `cbor:"3,keyasint,omitzero" json:"repositories,omitzero"`
	Tags         Filter `cbor:"4,keyasint,omitzero" json:"tags,omitzero"`
	// PushedWithin and PulledWithin show images pushed, or pulled, at most so long
	// ago; with both set either is enough. 0 means that the time does not matter.
	PushedWithin time.Duration `cbor:"5,keyasint,omitempty" json:"pushed_within,omitempty"`
	PulledWithin time.Duration `cbor:"6,keyasint,omitempty" json:"pulled_within,omitempty"`
	// NewestImages shows so many images of each repository, those pushed last, of
	// the ones that everything above shows; 0 means all.
	NewestImages int `cbor:"7,keyasint,omitempty" json:"newest_images,omitempty"`
	// UntaggedImages shows so many untagged images of each repository by their digest, those
	// pushed last; 0 means none. UntaggedWithin shows only those pushed or pulled at most so
	// long ago; 0 means that the time does not matter.
	UntaggedImages int           `cbor:"10,keyasint,omitempty" json:"untagged_images,omitempty"`
	UntaggedWithin time.Duration `cbor:"11,keyasint,omitempty" json:"untagged_within,omitempty"`
	// RepositoryTags are the keys of the repositories' own tags that are labels of a family,
	// which is shown if there are any. LifecyclePolicies and RegistryDetails show those about
	// lifecycle policies, and about the registry's own configuration.
	RepositoryTags    []string `cbor:"13,keyasint,omitempty" json:"repository_tags,omitempty"`
	LifecyclePolicies bool     `cbor:"14,keyasint,omitempty" json:"lifecycle_policies,omitempty"`
	RegistryDetails   bool     `cbor:"15,keyasint,omitempty" json:"registry_details,omitempty"`
	// Durable says that the inventory has a durable store.
	Durable bool `cbor:"8,keyasint,omitempty" json:"durable,omitempty"`
	// Region is the AWS Region of the registry, a label of the exporter's own families.
	Region string `cbor:"9,keyasint,omitempty" json:"region,omitempty"`
}

// ShapeID is the number of a shape in Registry.Shapes.
type ShapeID uint32

// Equal reports whether two shapes have the same settings.
func (s Shape) Equal(other Shape) bool {
	if !maps.Equal(s.External, other.External) {
		return false
	}
	s.External, other.External = nil, nil
	return reflect.DeepEqual(s, other)
}

// Filter is a pair of regular expressions (RE2) for whole names. An empty Include lets
// every name through, an empty Exclude none out.
type Filter struct {
	Include string `cbor:"1,keyasint,omitempty" json:"include,omitempty"`
	Exclude string `cbor:"2,keyasint,omitempty" json:"exclude,omitempty"`
}

// IsZero reports whether the filter lets every name through.
func (f Filter) IsZero() bool { return f == Filter{} }

// Compile returns a function that reports whether the filter lets a name through; nil
// if it lets all through.
func (f Filter) Compile() (func(name string) bool, error) {
	if f.IsZero() {
		return nil, nil //nolint:nilnil // nil is the documented value
	}
	include, err := compileWhole(f.Include)
	if err != nil {
		return nil, err
	}
	exclude, err := compileWhole(f.Exclude)
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		return (include == nil || include.MatchString(name)) && (exclude == nil || !exclude.MatchString(name))
	}, nil
}

// compileWhole compiles an expression that has to match the whole name; nil for none.
func compileWhole(expression string) (*regexp.Regexp, error) {
	if expression == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	// Alone first: "a)|(b" is invalid, but would be valid within the parentheses.
	_, err := regexp.Compile(expression)
	if err == nil {
		var whole *regexp.Regexp
		if whole, err = regexp.Compile(`\A(?:` + expression + `)\z`); err == nil {
			return whole, nil
		}
	}
	return nil, err // which quotes the expression
}

// shapeID returns the number of a shape, which is given one if it is new.
func (r *Registry) shapeID(shape Shape) ShapeID {
	next := ShapeID(1)
	for id, known := range r.Shapes {
		if known.Equal(shape) {
			return id
		}
		next = max(next, id+1)
	}
	if r.Shapes == nil {
		r.Shapes = map[ShapeID]Shape{}
	}
	r.Shapes[next] = shape
	return next
}

// dropShapes forgets the shapes that no record names.
func (r *Registry) dropShapes() {
	named := map[ShapeID]bool{}
	for _, sent := range r.Sent {
		named[sent.Shape] = true
	}
	for _, list := range [][]*Repository{r.Repositories, r.Previous} {
		for _, repository := range list {
			for _, id := range repository.Shapes {
				named[id] = true
			}
		}
	}
	maps.DeleteFunc(r.Shapes, func(id ShapeID, _ Shape) bool { return !named[id] })
}

// renumberShapes names in another copy's records its shapes by this registry's numbers.
func (r *Registry) renumberShapes(other *Registry) {
	numbers := map[ShapeID]ShapeID{}
	for id, shape := range other.Shapes {
		numbers[id] = r.shapeID(shape)
	}
	for _, list := range [][]*Repository{other.Repositories, other.Previous} {
		for _, repository := range list {
			renumbered := make([]ShapeID, 0, len(repository.Shapes))
			for _, id := range repository.Shapes {
				if number, known := numbers[id]; known {
					renumbered = append(renumbered, number)
				}
			}
			repository.Shapes = slices.Clip(renumbered)
		}
	}
	for _, sent := range other.Sent {
		sent.Shape = numbers[sent.Shape]
	}
}
