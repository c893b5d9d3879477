package inventory_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// anything makes records of any content, in the order that all records have.
type anything struct {
	*rand.Rand
	texts   []string
	numbers []int64
}

func (a *anything) text() string { return a.texts[a.IntN(len(a.texts))] }

func (a *anything) number() int64 { return a.numbers[a.IntN(len(a.numbers))] }

func (a *anything) time() inventory.Time { return inventory.Time(a.number()) }

func (a *anything) some() bool { return a.IntN(2) == 0 }

// names are sorted and distinct.
func (a *anything) names(most int) []string {
	list := make([]string, a.IntN(most+1))
	for i := range list {
		list[i] = a.text() + fmt.Sprint(a.IntN(5))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (a *anything) scan() *inventory.Scan {
	if a.some() {
		return nil
	}
	scan := &inventory.Scan{
		Status: inventory.WordOf(a.text()), CompletedAt: a.time(), AskedAt: a.time(), Unfinished: uint8(a.number()), Partial: a.some(),
		Total: int32(a.number()), InUseCount: int32(a.number()), LastInUseAt: inventory.SecondOf(a.time()),
	}
	for _, name := range a.names(4) {
		scan.Severities = inventory.CountsOf(append(scan.Severities.List(), inventory.SeverityCount{Severity: inventory.WordOf(name), Count: int32(a.number())}))
	}
	return scan
}

func (a *anything) images() (list []inventory.Image) {
	for i := range a.IntN(4) {
		list = append(list, inventory.Image{
			Digest: inventory.Digest{byte(i)}, Tags: a.names(4), SizeBytes: a.number(), PushedAt: a.time(), PulledAt: inventory.SecondOf(a.time()),
			MediaType: inventory.WordOf(a.text()), ArtifactType: inventory.WordOf(a.text()), Status: inventory.WordOf(a.text()), HasSubject: a.some(), Scan: a.scan(), Index: a.index(), Mark: inventory.Mark{Shown: a.some()},
		})
	}
	return list
}

func (a *anything) index() *inventory.Index {
	if a.some() {
		return nil
	}
	index := &inventory.Index{}
	for i := range a.IntN(3) {
		index.Children = append(index.Children, inventory.Child{Digest: inventory.Digest{byte(i)}, Platform: a.text()})
		index.Others = append(index.Others, inventory.Digest{byte(i)})
		index.Platforms = append(index.Platforms, inventory.PlatformFindings{
			Platform: a.text(), Severities: inventory.Severities{{Severity: inventory.WordOf(a.text()), Count: int32(a.number())}},
		})
	}
	return index
}

func (a *anything) repository(name string) *inventory.Repository {
	r := &inventory.Repository{
		Name: name, ARN: a.text(), URI: a.text(), RegistryID: a.text(), CreatedAt: a.time(), TagMutability: a.text(), EncryptionType: a.text(), KMSKey: a.text(),
		ImagesReadAt: a.time(), TriedAt: a.time(), Denied: a.some(), Due: a.some(), ScansDueSince: a.time(),
		Mark: inventory.Mark{Shown: a.some()}, Images: a.images(),
	}
	if a.some() {
		on := a.some()
		r.ScanOnPush = &on
	}
	if a.some() {
		total := func() inventory.Total { return inventory.Total{Images: int(a.number()), Bytes: a.number()} }
		r.Summary = &inventory.Summary{
			Archived: total(), Index: total(), Tagged: total(), Untagged: total(), PushedAt: a.time(), PulledAt: a.time(), MostTags: int(a.number()),
			Severities: inventory.Severities{{Severity: inventory.WordOf(a.text()), Count: int32(a.number())}},
		}
		r.Details = &inventory.RepositoryDetails{
			LifecyclePolicy: a.some(), LifecycleReadAt: a.time(), Tags: []inventory.ResourceTag{{Key: a.text(), Value: a.text()}}, TagsReadAt: a.time(),
		}
	}
	for range a.IntN(3) {
		r.Shapes = append(r.Shapes, inventory.ShapeID(a.number()))
	}
	return r
}

func (a *anything) own() *inventory.Registry {
	return &inventory.Registry{
		ID: a.text(), Region: a.text(), ListedAt: a.time(), DueNames: a.names(3), PushedAt: a.time(), Shape: inventory.ShapeID(a.number()), ScanSource: a.text(), ScansListedAt: a.time(),
		ScansPending: int(a.number()), ScansOldest: a.time(), SucceededAt: a.time(), Whole: a.text(), ScanType: a.text(),
		Details: &inventory.RegistryDetails{
			ReadAt: a.time(), MaxRepositories: a.number(), MaxImages: a.number(),
			CacheRules:  []inventory.CacheRule{{Prefix: a.text(), Upstream: a.text(), URL: a.text()}},
			Replication: []inventory.ReplicationDestination{{Region: a.text(), RegistryID: a.text(), Prefixes: a.text()}},
		},
		Removed:   []inventory.Removal{{Name: a.text(), CreatedAt: a.time(), At: a.time()}},
		Protocols: map[string]string{a.text(): a.text()},
		Peaks:     inventory.Peaks{Since: a.time(), Series: [3]int{int(a.number()), 1, 2}},
		Running:   inventory.Running{AnsweredAt: a.time(), Seen: map[string]inventory.Time{a.text(): a.time()}},
		Shapes: map[inventory.ShapeID]inventory.Shape{inventory.ShapeID(a.number()): {
			External: map[string]string{a.text(): a.text()}, Families: inventory.Filter{Include: a.text(), Exclude: a.text()},
			PushedWithin: time.Duration(a.number()), PulledWithin: time.Duration(a.number()), NewestImages: int(a.number()), UntaggedImages: int(a.number()), UntaggedWithin: time.Duration(a.number()), InUseWithin: time.Duration(a.number()), RepositoryTags: []string{a.text()}, LifecyclePolicies: a.some(), RegistryDetails: a.some(), Durable: a.some(), Region: a.text(),
		}},
	}
}

func (a *anything) registry() *inventory.Registry {
	r := a.own()
	r.Sent = []*inventory.Registry{a.own()}
	for _, name := range a.names(3) {
		r.Repositories = append(r.Repositories, a.repository(name))
	}
	for _, name := range a.names(2) {
		r.Previous = append(r.Previous, a.repository(name))
	}
	return r
}

func decode(tb testing.TB, whole []byte) *inventory.Registry {
	tb.Helper()
	r, err := inventory.Decode(bytes.NewReader(whole))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// FuzzRoundTrip: what is written of records of any content can be read, and is the same.
func FuzzRoundTrip(f *testing.F) {
	for i, text := range []string{"", "a", "v1\xff\xfe", "\xed\xa0\x80", "日本\x00\u202e", strings.Repeat("x", 5000), "{{}}\"\n"} {
		for _, number := range []int64{-1, math.MaxInt64, math.MinInt64} {
			f.Add(uint64(i), text, number)
		}
	}
	f.Fuzz(func(t *testing.T, seed uint64, text string, number int64) {
		a := &anything{rand.New(rand.NewPCG(seed, 7)), []string{"", "a", "\xff", text, text}, []int64{0, 1, -1, math.MaxInt64, math.MinInt64, number, number}}
		for range 3 {
			want := a.registry()
			whole := encode(t, want)
			got := decode(t, whole)
			if diff := cmp.Diff(want, got, asStored); diff != "" {
				t.Fatalf("whole (-want +got):\n%s", diff)
			}
			got.Unsaved = inventory.Unsaved{}
			for _, repository := range slices.Clone(got.Repositories) {
				switch a.IntN(4) {
				case 0:
					got.Remove(repository.Name)
				case 1:
					got.SetRepository(a.repository(repository.Name))
				case 2:
					got.SetImages(repository, a.images(), a.time())
				default:
					got.Update(repository, func(r *inventory.Repository) { r.ARN, r.TriedAt = a.text(), a.time() })
				}
			}
			if diff := cmp.Diff(got, restore(t, whole, encodeChanges(t, got)), asStored); diff != "" {
				t.Fatalf("changes (-want +got):\n%s", diff)
			}
		}
	})
}

// Records at the bounds of what ECR may send, and beyond the limits of the library, can be
// read again.
func TestRoundTripOfMany(t *testing.T) {
	t.Parallel()
	r := &inventory.Registry{}
	tags := make([]string, 140_000)
	for i := range tags {
		tags[i] = fmt.Sprintf("%06d", i)
		r.Removed = append(r.Removed, inventory.Removal{Name: tags[i], CreatedAt: 1, At: 2})
	}
	r.SetRepository(&inventory.Repository{Name: "app", Images: []inventory.Image{{Tags: tags, MediaType: inventory.WordOf(strings.Repeat("m", 10<<20))}}})
	got := decode(t, encode(t, r))
	image, want := got.Repositories[0].Images[0], r.Repositories[0].Images[0]
	if !slices.Equal(got.Removed, r.Removed) || !slices.Equal(image.Tags, want.Tags) || image.MediaType != want.MediaType {
		t.Error("decoded another registry")
	}
}

// A record that could not be read again is not written.
func TestEncodeTooLarge(t *testing.T) {
	t.Parallel()
	r := &inventory.Registry{Whole: "w"}
	r.SetRepository(&inventory.Repository{Name: "app", ARN: strings.Repeat("x", 33<<20)})
	for what, err := range map[string]error{"whole": inventory.Encode(io.Discard, r), "changes": inventory.EncodeChanges(io.Discard, r)} {
		if err == nil || !strings.Contains(err.Error(), "an item is too large: more than 32 MiB") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

// bomb is a small stored form that is large when unpacked.
func bomb(t *testing.T, write func(w io.Writer)) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	write(zip)
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What is unpacked is bounded by the memory.
func TestDecodeBomb(t *testing.T) {
	t.Parallel()
	items := func(w io.Writer, items ...any) {
		encoder := cbor.NewEncoder(w)
		for _, item := range items {
			if err := encoder.Encode(item); err != nil {
				t.Fatal(err)
			}
		}
	}
	head := m{1: name, 2: 2, 3: 1}
	long := bomb(t, func(w io.Writer) {
		items(w, head)
		// A registry whose ID is a text of 1.5 GB, of which the first 40 MiB are there.
		_, _ = w.Write([]byte{0xa1, 0x01, 0x7b, 0, 0, 0, 0, 0x60, 0, 0, 0})
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for range 40 {
			_, _ = w.Write(chunk) // to memory
		}
	})
	many := bomb(t, func(w io.Writer) {
		items(w, head, m{}, m{1: m{1: "a"}, 2: 40_000})
		image := bytes.NewBuffer(nil)
		items(image, m{})
		_, _ = w.Write(bytes.Repeat(image.Bytes(), 40_000))
		items(w, m{1: 40_000})
	})
	for _, c := range []struct {
		name  string
		text  []byte
		limit int64 // of memory, in bytes
		want  string
	}{
		{"a long text", long, math.MaxInt64, "an item is larger than 32 MiB"},
		{"a long text and little memory", long, 20 << 20, "it needs more than 20 MB of memory"},
		{"many records", many, 3 << 20, "it needs more than 3 MB of memory"},
		{"many records and enough memory", many, 10 << 20, "not distinct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := inventory.DecodeWithin(bytes.NewReader(c.text), c.limit)
			if !errors.Is(err, inventory.ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	// A million images fit in the memory of a function of 1 GB, and so a fiftieth in a fiftieth.
	got, err := inventory.DecodeWithin(bytes.NewReader(encode(t, generate(20_000))), 1<<30/10*8/50)
	if err != nil || len(got.Repositories) != 200 {
		t.Errorf("error %v", err)
	}
}
