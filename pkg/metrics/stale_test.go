package metrics_test

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// everything is a registry in which every field of every record is set, and each record
// refers to the others. A new field that is left unset here fails TestEveryChangeEnds.
func everything() *inventory.Registry {
	on := true
	scan := func(status string, inUse int32) *inventory.Scan {
		return &inventory.Scan{
			Status: inventory.WordOf(status), CompletedAt: 5000, AskedAt: 6000, Unfinished: 1, Partial: true, Total: 3, InUseCount: inUse, LastInUseAt: 7,
			Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 1}}),
		}
	}
	repository := func(name string) *inventory.Repository {
		return &inventory.Repository{
			Name: name, ARN: "arn:" + name, URI: "u/" + name, RegistryID: "1", CreatedAt: 1000, TagMutability: "MUTABLE", EncryptionType: "KMS",
			KMSKey: "key", ScanOnPush: &on, ReadAt: 8000, ImagesReadAt: 8000, TriedAt: 8000, Denied: true, Due: true, ScansDueSince: 1000,
			Rest: inventory.Rest{Untagged: inventory.Total{Images: 1, Bytes: 2}, Archived: inventory.Total{Images: 3, Bytes: 4}},
			Summary: &inventory.Summary{
				Archived: inventory.Total{Images: 1, Bytes: 2}, Index: inventory.Total{Images: 3}, Tagged: inventory.Total{Images: 4, Bytes: 5}, Untagged: inventory.Total{Images: 6, Bytes: 7},
				PushedAt: 2000, PulledAt: 3000, MostTags: 2, Severities: inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 1}},
			},
			Details: &inventory.RepositoryDetails{
				LifecyclePolicy: true, LifecycleReadAt: 8000, Tags: []inventory.ResourceTag{{Key: "team", Value: "red"}, {Key: "unused", Value: "x"}}, TagsReadAt: 8000,
			},
			Images: []inventory.Image{
				{
					Digest: inventory.Digest{1}, Tags: []string{"v1", "v2"}, SizeBytes: 5, PushedAt: 2000, PulledAt: 3, MediaType: inventory.WordOf("m"), ArtifactType: inventory.WordOf("a"), HasSubject: true,
					Status: inventory.ImageActive, Scan: scan("COMPLETE", 1),
					Index: &inventory.Index{
						Children: []inventory.Child{{Digest: inventory.Digest{4}, Platform: "linux/amd64"}},
						Others:   []inventory.Digest{{5}},
						Platforms: []inventory.PlatformFindings{
							{Platform: "linux/amd64", Severities: inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 1}}},
							{Platform: "linux/arm64", Severities: inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 1}}},
						},
					},
				},
				{Digest: inventory.Digest{2}, Tags: []string{"w1"}, SizeBytes: 6, PushedAt: 2000, Scan: scan("FAILED", 0)},
				{Digest: inventory.Digest{3}, SizeBytes: 7, PushedAt: 1000, Scan: scan("COMPLETE", 1)},
			},
		}
	}
	return &inventory.Registry{
		ID: "1", Region: "r", WrittenBy: "v1", DueNames: []string{"c"}, ListedAt: 9000,
		ScanSource: inventory.ScansFromFindings, ScansListedAt: 1000, ScansPending: 1, ScansOldest: 6000, SucceededAt: 9000,
		Running:  inventory.Running{AnsweredAt: 9000, Seen: map[string]inventory.Time{"u/a:v1": 3_600_000}},
		Peaks:    inventory.Peaks{Since: 1, Series: [3]int{2, 3, 4}},
		ScanType: "BASIC",
		Details: &inventory.RegistryDetails{
			ReadAt: 9000, MaxRepositories: 1, MaxImages: 2,
			CacheRules:  []inventory.CacheRule{{Prefix: "hub", Upstream: "docker-hub", URL: "u"}, {Prefix: "quay"}},
			Replication: []inventory.ReplicationDestination{{Region: "r2", RegistryID: "1", Prefixes: "a,b"}, {Region: "r3", RegistryID: "1"}},
		},
		Protocols: map[string]string{"https://e": "1.0"}, Repositories: []*inventory.Repository{repository("a"), repository("b")},
	}
}

var everyShape = inventory.Shape{
	External: map[string]string{"zone": "z"}, Families: inventory.Filter{Include: ".*"}, UntaggedImages: 2, Durable: true,
	RepositoryTags: []string{"team"}, LifecyclePolicies: true, RegistryDetails: true,
}

func everyShapeBut(change func(*inventory.Shape)) inventory.Shape {
	shape := everyShape
	change(&shape)
	return shape
}

// shown returns the registry after a push of it under a shape.
func shown(t *testing.T, r *inventory.Registry, shape inventory.Shape) *inventory.Registry {
	t.Helper()
	selected(t, r, shape)
	r.Pushed(10_000, shape, true, nil)
	return r
}

func selected(t *testing.T, r *inventory.Registry, shape inventory.Shape) {
	t.Helper()
	s, err := selection.New(shape)
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(r, time.UnixMilli(10_000))
}

// checkEnds holds what Stale yields after a change against the difference of all series
// before and after it, once with records compared as they change and once without.
func checkEnds(t *testing.T, name string, before, after inventory.Shape, change func(*inventory.Registry)) (ended int) {
	t.Helper()
	for _, compared := range []bool{true, false} {
		r := shown(t, everything(), before)
		pushed := identities(t, table(before).All(r, metrics.Options{}))
		if compared {
			r.Ends = table(after).Ends(r)
		}
		change(r)
		selected(t, r, after)
		alive := identities(t, table(after).All(r, metrics.Options{}))
		want := slices.DeleteFunc(sorted(pushed), func(series string) bool { return slices.Contains(alive, series) })
		got := sorted(identities(t, table(after).Stale(r, metrics.Options{})))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (records compared: %v): markers (-want +got):\n%s", name, compared, diff)
		}
		if len(want) == 0 && compared && len(r.Previous) > 0 {
			t.Errorf("%s: previous versions are kept, though nothing ends", name)
		}
		// Of a push that did not deliver all markers the next one sends them again; of
		// one that did, nothing is left.
		r.Pushed(11_000, after, false, nil)
		again := identities(t, table(after).Stale(r, metrics.Options{}))
		for _, marker := range got {
			if !slices.Contains(again, marker) {
				t.Errorf("%s: a push that failed in part is the last to end %s", name, marker)
			}
		}
		for _, marker := range again { // may be too many of what was new in that push
			if slices.Contains(alive, marker) {
				t.Errorf("%s: after a push that failed in part the next one ends %s, which is alive", name, marker)
			}
		}
		r.Pushed(12_000, after, true, nil)
		if left := identities(t, table(after).Stale(r, metrics.Options{})); len(left) > 0 || len(r.Previous) > 0 || len(r.Shapes) != 1 {
			t.Errorf("%s: after a whole push: markers %v, %d previous versions, %d shapes", name, left, len(r.Previous), len(r.Shapes))
		}
		ended = len(want)
	}
	return ended
}

// Each field of each record is changed and cleared in turn. What ends must be the
// difference of all series before and after, whatever the rows of the table read.
func TestEveryChangeEnds(t *testing.T) {
	t.Parallel()
	ended := map[string]int{}
	note := func(name string, n int) { ended[name] += n }

	fields := func(record reflect.Type, at func(*inventory.Registry) reflect.Value, apply func(*inventory.Registry, func(reflect.Value))) {
		for i := range record.NumField() {
			field := record.Field(i)
			if !field.IsExported() || field.Type == reflect.TypeFor[inventory.Mark]() || field.Type == reflect.TypeFor[[]inventory.ShapeID]() ||
				field.Name == "Listed" {
				continue
			}
			name := record.Name() + "." + field.Name
			value := at(everything()).Field(i)
			if value.IsZero() {
				t.Errorf("%s: everything() leaves it unset, so no change of it is tried", name)
				continue
			}
			for what, other := range others(value) {
				note(name, checkEnds(t, name+" "+what, everyShape, everyShape, func(r *inventory.Registry) {
					apply(r, func(record reflect.Value) { record.Field(i).Set(other) })
				}))
			}
		}
	}
	// As a listing, an event or another result would change it.
	image := func(r *inventory.Registry) *inventory.Image { return &r.Repositories[0].Images[0] }
	fields(reflect.TypeFor[inventory.Image](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(image(r)).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			list := slices.Clone(r.Repositories[0].Images)
			list[0].Tags = slices.Clone(list[0].Tags)
			set(reflect.ValueOf(&list[0]).Elem())
			digest, scan, index := list[0].Digest, list[0].Scan, list[0].Index
			r.SetImages(r.Repositories[0], list, 9000)
			// No listing clears a scan or an index, or replaces a scan by an older one.
			r.SetScan(r.Repositories[0], r.Repositories[0].FindImage(digest), scan)
			r.SetIndex(r.Repositories[0], r.Repositories[0].FindImage(digest), index)
		})
	fields(reflect.TypeFor[inventory.Index](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(image(r).Index).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			index := *image(r).Index
			set(reflect.ValueOf(&index).Elem())
			r.SetIndex(r.Repositories[0], image(r), &index)
		})
	fields(reflect.TypeFor[inventory.Summary](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(r.Repositories[0].Summary).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			summary := *r.Repositories[0].Summary
			set(reflect.ValueOf(&summary).Elem())
			r.Update(r.Repositories[0], func(repository *inventory.Repository) { repository.Summary = &summary })
		})
	fields(reflect.TypeFor[inventory.RepositoryDetails](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(r.Repositories[0].Details).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			r.SetDetails(r.Repositories[0], func(details *inventory.RepositoryDetails) { set(reflect.ValueOf(details).Elem()) })
		})
	fields(reflect.TypeFor[inventory.RegistryDetails](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(r.Details).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			details := *r.Details
			set(reflect.ValueOf(&details).Elem())
			r.Details = &details
		})
	fields(reflect.TypeFor[inventory.Scan](), func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(image(r).Scan).Elem() },
		func(r *inventory.Registry, set func(reflect.Value)) {
			scan := *image(r).Scan
			set(reflect.ValueOf(&scan).Elem())
			r.SetScan(r.Repositories[0], image(r), &scan)
		})
	own := func(r *inventory.Registry) reflect.Value { return reflect.ValueOf(r.Repositories[0]).Elem() }
	listed := func(r *inventory.Registry, set func(reflect.Value)) {
		first, second := *r.Repositories[0], *r.Repositories[1]
		first.Images, second.Images = nil, nil
		set(reflect.ValueOf(&first).Elem())
		r.SetRepositories([]*inventory.Repository{&first, &second}, 9000)
	}
	reading := []string{"ImagesReadAt", "TriedAt", "Denied", "Due", "ScansDueSince", "Summary", "Details", "Rest"} // which no listing of repositories has
	withoutImages := fieldsBut(reflect.TypeFor[inventory.Repository](), "Images")
	for _, field := range withoutImages {
		name := "Repository." + field.Name
		if own(everything()).FieldByIndex(field.Index).IsZero() {
			t.Errorf("%s: everything() leaves it unset, so no change of it is tried", name)
		}
		for what, other := range others(own(everything()).FieldByIndex(field.Index)) {
			set := func(record reflect.Value) { record.FieldByIndex(field.Index).Set(other) }
			note(name, checkEnds(t, name+" "+what, everyShape, everyShape, func(r *inventory.Registry) {
				if slices.Contains(reading, field.Name) {
					r.Update(r.Repositories[0], func(repository *inventory.Repository) { set(reflect.ValueOf(repository).Elem()) })
				} else {
					listed(r, set)
				}
			}))
		}
	}
	for _, field := range fieldsBut(reflect.TypeFor[inventory.Registry](), "Repositories", "Previous", "Sent", "Shapes", "Removed", "PushedAt", "Shape", "Whole", "Unsaved", "Found", "Ends", "Keeps") {
		name := "Registry." + field.Name
		value := reflect.ValueOf(everything()).Elem().FieldByIndex(field.Index)
		if value.IsZero() {
			t.Errorf("%s: everything() leaves it unset, so no change of it is tried", name)
		}
		for what, other := range others(value) {
			note(name, checkEnds(t, name+" "+what, everyShape, everyShape, func(r *inventory.Registry) {
				reflect.ValueOf(r).Elem().FieldByIndex(field.Index).Set(other)
			}))
		}
	}
	for _, must := range []string{"Image.Tags", "Image.Status", "Image.SizeBytes", "Image.Scan", "Scan.Status", "Scan.Severities", "Index.Platforms", "Repository.URI", "Repository.TagMutability", "Repository.CreatedAt", "Repository.ImagesReadAt",
		"Repository.Summary", "Summary.PushedAt", "Summary.PulledAt", "Summary.Severities", "Repository.Details", "RepositoryDetails.LifecycleReadAt", "RepositoryDetails.Tags",
		"RepositoryDetails.TagsReadAt", "Registry.ScanType", "RegistryDetails.CacheRules", "RegistryDetails.Replication", "Scan.LastInUseAt", "Image.PulledAt", "Image.MediaType", "Registry.ID", "Registry.ScanSource"} {
		if ended[must] == 0 {
			t.Errorf("%s: no change of it ends anything, which cannot be", must)
		}
	}
}

// fieldsBut are the exported fields of a record that are part of it, but those named.
func fieldsBut(record reflect.Type, names ...string) (fields []reflect.StructField) {
	for i := range record.NumField() {
		field := record.Field(i)
		if field.IsExported() && field.Type != reflect.TypeFor[inventory.Mark]() && field.Type != reflect.TypeFor[[]inventory.ShapeID]() && !slices.Contains(names, field.Name) {
			fields = append(fields, field)
		}
	}
	return fields
}

// others are other values for a field: none, and some of each kind.
func others(value reflect.Value) map[string]reflect.Value {
	other := map[string]reflect.Value{"cleared": reflect.Zero(value.Type())}
	changed := reflect.New(value.Type()).Elem()
	changed.Set(value)
	switch value.Kind() {
	case reflect.String:
		if counts, ok := value.Interface().(inventory.Counts); ok {
			more := append(counts.List(), inventory.SeverityCount{Severity: inventory.WordOf("UNTRIAGED"), Count: 1})
			more[0].Count++
			other["shorter"] = reflect.ValueOf(inventory.CountsOf(counts.List()[1:]))
			changed.Set(reflect.ValueOf(inventory.CountsOf(more)))
			break
		}
		changed.SetString(value.String() + "-changed")
	case reflect.Int, reflect.Int32, reflect.Int64:
		changed.SetInt(value.Int() + 1)
		negative := reflect.New(value.Type()).Elem()
		negative.SetInt(-1) // which says that a size is unknown
		other["-1"] = negative
	case reflect.Uint16:
		if word, ok := value.Interface().(inventory.Word); ok {
			changed.Set(reflect.ValueOf(inventory.WordOf(word.String() + "-changed")))
		} else {
			changed.SetUint(value.Uint() + 1)
		}
	case reflect.Uint8, reflect.Uint32:
		changed.SetUint(value.Uint() + 1)
	case reflect.Bool:
		changed.SetBool(!value.Bool())
	case reflect.Array: // of numbers, or a digest
		if first := changed.Index(0); first.CanInt() {
			first.SetInt(9)
		} else {
			changed.Index(5).SetUint(9)
		}
	case reflect.Pointer:
		changed.Set(reflect.New(value.Type().Elem())) // of a zero value
	case reflect.Slice:
		fewer := reflect.MakeSlice(value.Type(), 0, value.Len())
		other["shorter"] = reflect.AppendSlice(fewer, value.Slice(1, value.Len()))
		longer := reflect.MakeSlice(value.Type(), 0, value.Len()+1)
		longer = reflect.AppendSlice(longer, value)
		last := reflect.New(value.Type().Elem()).Elem()
		for _, v := range others(value.Index(value.Len() - 1)) {
			last.Set(v)
		}
		changed.Set(reflect.Append(longer, last))
	case reflect.Struct:
		for i := range value.NumField() {
			for _, v := range others(value.Field(i)) {
				changed.Field(i).Set(v)
			}
		}
	case reflect.Map:
		changed.Set(reflect.MakeMap(value.Type()))
	default:
		panic("no other value of a " + value.Kind().String())
	}
	other["changed"] = changed
	return other
}

// Each setting of the shape is changed in turn, alone and together with a record.
func TestEveryShapeEnds(t *testing.T) {
	t.Parallel()
	shapes := map[string]inventory.Shape{
		"External":          {External: map[string]string{"zone": "y"}},
		"Families":          {Families: inventory.Filter{Exclude: ".*scan.*|aws_ecr_repository_count"}},
		"Repositories":      {Repositories: inventory.Filter{Include: "b"}},
		"Tags":              {Tags: inventory.Filter{Exclude: "v.*"}},
		"PushedWithin":      {PushedWithin: time.Millisecond},
		"PulledWithin":      {PulledWithin: 8 * time.Second},
		"NewestImages":      {NewestImages: 1},
		"UntaggedImages":    {External: everyShape.External, Families: everyShape.Families, Durable: true},
		"UntaggedWithin":    {External: everyShape.External, Families: everyShape.Families, Durable: true, UntaggedImages: 2, UntaggedWithin: time.Second},
		"InUseWithin":       {InUseWithin: time.Second},
		"Durable":           {},
		"RepositoryTags":    everyShapeBut(func(s *inventory.Shape) { s.RepositoryTags = []string{"team", "unused"} }),
		"LifecyclePolicies": everyShapeBut(func(s *inventory.Shape) { s.LifecyclePolicies = false }),
		"RegistryDetails":   everyShapeBut(func(s *inventory.Shape) { s.RegistryDetails = false }),
		"Region":            {External: everyShape.External, Families: everyShape.Families, UntaggedImages: 2, Durable: true, Region: "eu-west-2"},
	}
	tried := slices.Collect(maps.Keys(shapes))
	for name, shape := range shapes {
		for _, c := range []struct {
			what   string
			change func(*inventory.Registry)
		}{
			{"alone", func(*inventory.Registry) {}},
			{"with an image deleted", func(r *inventory.Registry) { r.SetImages(r.Repositories[0], r.Repositories[0].Images[1:], 9500) }},
			{"with a tag moved", func(r *inventory.Registry) {
				list := slices.Clone(r.Repositories[0].Images)
				list[0].Tags, list[1].Tags = []string{"v1"}, []string{"v2", "w1"}
				r.SetImages(r.Repositories[0], list, 9500)
			}},
			{"with a repository deleted", func(r *inventory.Registry) { r.Remove("a") }},
			{"with a setting changed", func(r *inventory.Registry) {
				changed := *r.Repositories[1]
				changed.TagMutability = "IMMUTABLE"
				r.SetRepository(&changed)
			}},
		} {
			if n := checkEnds(t, name+" "+c.what, everyShape, shape, c.change); n == 0 {
				t.Errorf("%s %s: nothing ends", name, c.what)
			}
			checkEnds(t, name+" back "+c.what, shape, everyShape, c.change)
		}
	}
	for i := range reflect.TypeFor[inventory.Shape]().NumField() {
		name := reflect.TypeFor[inventory.Shape]().Field(i).Name
		if !slices.Contains(tried, name) {
			t.Errorf("Shape.%s is not tried", name)
		}
	}
}

// Several changes, and what a push does in between.
func TestStale(t *testing.T) {
	t.Parallel()
	// Whatever other families there are.
	plain := inventory.Shape{Families: inventory.Filter{Include: "aws_ecr_repository_info|aws_ecr_image_(size|pushed_at|scan)_.*"}}
	tags := func(r *inventory.Registry, tags ...string) {
		list := slices.Clone(r.Repositories[0].Images[:1])
		list[0].Tags = tags
		r.SetImages(r.Repositories[0], list, 9500)
	}
	stale := func(r *inventory.Registry, only []string) map[string]int {
		n := map[string]int{}
		for s := range table(plain).Stale(r, metrics.Options{Only: only}) {
			if math.Float64bits(s.Value) != 0x7ff0000000000002 {
				t.Errorf("%v is not a marker", s)
			}
			n[value(s, "name")+" "+value(s, "tag")]++
		}
		return n
	}
	for _, c := range []struct {
		name string
		do   func(r *inventory.Registry)
		only []string
		want map[string]int
	}{
		{"nothing", func(*inventory.Registry) {}, nil, nil},
		{"two changes while pushes fail", func(r *inventory.Registry) {
			tags(r, "x")
			r.Pushed(11_000, plain, false, nil)
			tags(r, "y")
		}, nil, map[string]int{"a v1": 6, "a v2": 6, "a w1": 6, "a x": 6}},
		{"two changes before a push", func(r *inventory.Registry) {
			tags(r, "x")
			tags(r, "y")
		}, nil, map[string]int{"a v1": 6, "a v2": 6, "a w1": 6}},
		{"back again", func(r *inventory.Registry) {
			before := r.Repositories[0].Images
			tags(r, "x")
			r.SetImages(r.Repositories[0], before, 9600)
		}, nil, map[string]int{}},
		{"created again with an image in common", func(r *inventory.Registry) {
			again := *r.Repositories[0]
			images := again.Images
			again.CreatedAt, again.Images, again.Mark = 9000, nil, inventory.Mark{}
			r.SetRepository(&again)
			r.SetImages(r.Repositories[0], images[1:], 9500)
		}, nil, map[string]int{"a v1": 6, "a v2": 6}},
		{"only other repositories", func(r *inventory.Registry) { tags(r, "x"); r.Remove("b") }, []string{"c"}, nil},
		{"one that is there and one that is gone", func(r *inventory.Registry) { tags(r, "v1", "v2"); r.Remove("b") }, []string{"a", "b"},
			map[string]int{"a w1": 6, "b ": 1, "b v1": 6, "b v2": 6, "b w1": 6}},
		{"a partial push says nothing about the others", func(r *inventory.Registry) {
			tags(r, "v1", "v2")
			r.Remove("b")
			r.Pushed(11_000, plain, true, []string{"a"})
		}, nil, map[string]int{"b ": 1, "b v1": 6, "b v2": 6, "b w1": 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := shown(t, everything(), plain)
			r.Ends = table(plain).Ends(r)
			c.do(r)
			if diff := cmp.Diff(c.want, stale(r, c.only), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("markers by repository and tag (-want +got):\n%s", diff)
			}
			for stop := range 3 {
				n := 0
				for range table(plain).Stale(r, metrics.Options{}) {
					if n++; n > stop {
						break
					}
				}
			}
		})
	}
	unpushed := everything()
	unpushed.Remove("a")
	tags(unpushed, "x")
	if got := stale(unpushed, nil); len(got) > 0 || len(unpushed.Previous) > 0 {
		t.Errorf("before the first push: markers %v", got)
	}
}

// many is a registry of n images, 100 a repository, that was pushed.
func many(n int) *inventory.Registry {
	r := &inventory.Registry{ID: "1", ListedAt: 1}
	for i := range n / 100 {
		repository := &inventory.Repository{Name: fmt.Sprintf("team-%05d/app", i), URI: fmt.Sprintf("u/team-%05d/app", i), RegistryID: "1", ImagesReadAt: 1}
		for j := range 100 {
			digest := inventory.Digest{byte(j), byte(i), byte(i >> 8)}
			repository.Images = append(repository.Images, inventory.Image{Digest: digest, Tags: []string{fmt.Sprint("v", j)}, SizeBytes: 1, PushedAt: 1000,
				Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: 1, AskedAt: 1, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 1}})}})
		}
		r.Repositories = append(r.Repositories, repository)
	}
	r.Pushed(1, inventory.Shape{}, true, nil)
	return r
}

// A refresh in which no series ends keeps nothing and allocates nothing, also if records
// differ; neither does looking for what is stale, but for a fixed part.
func TestUnchangedAllocatesNothing(t *testing.T) {
	r := many(1000)
	r.Ends = table(inventory.Shape{}).Ends(r)
	lists := map[*inventory.Repository][]inventory.Image{}
	for _, repository := range r.Repositories {
		lists[repository] = slices.Clone(repository.Images)
	}
	at := inventory.Time(2)
	perRepository := testing.AllocsPerRun(5, func() {
		at++
		for _, repository := range r.Repositories {
			list := lists[repository]
			for i := range list {
				list[i].PulledAt = inventory.SecondOf(at)
			}
			lists[repository] = slices.Clone(repository.Images)
			r.SetImages(repository, list, at)
		}
	}) / float64(len(r.Repositories))
	if perRepository > 30 { // the lists themselves, and finding tags on two images
		t.Errorf("%v allocations a repository of 100 images", perRepository)
	}
	image := &r.Repositories[0].Images[0]
	scans := []*inventory.Scan{image.Scan, {Status: inventory.WordOf("COMPLETE"), CompletedAt: 2, AskedAt: 9, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 7}})}}
	if n := testing.AllocsPerRun(100, func() {
		r.SetScan(r.Repositories[0], image, scans[1])
		r.SetScan(r.Repositories[0], image, scans[0])
	}); n > 2 { // a copy of each old record, which is not kept
		t.Errorf("%v allocations for another result of a scan", n)
	}
	stale := func(r *inventory.Registry) float64 {
		return testing.AllocsPerRun(5, func() {
			for range table(inventory.Shape{}).Stale(r, metrics.Options{}) {
			}
		})
	}
	if few, all := stale(many(100)), stale(many(1000)); all > few+5 {
		t.Errorf("%v allocations to find that nothing is stale among 100 images, %v among 1000", few, all)
	}
	if len(r.Previous) > 0 {
		t.Errorf("%d previous versions are kept", len(r.Previous))
	}
}

// BenchmarkReshape is a push after an external label changed: every series ends.
func BenchmarkReshape(b *testing.B) {
	r := many(100_000)
	changed := table(inventory.Shape{External: map[string]string{"zone": "b"}})
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for range changed.Stale(r, metrics.Options{}) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/series")
}
