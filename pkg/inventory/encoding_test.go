package inventory_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// sample has every field set somewhere, and left out somewhere else.
func sample() *inventory.Registry {
	on, off := true, false
	return &inventory.Registry{
		ID: "123456789012", Region: "eu-west-1", WrittenBy: "v1.2.3", Whole: "w", ListedAt: 1_700_000_000_123, PushedAt: 1_700_000_000_124, ScanSource: inventory.ScansFromInspector, ScansListedAt: 1, ScansPending: 2, ScansOldest: 3,
		ScanType: "ENHANCED",
		Details: &inventory.RegistryDetails{
			ReadAt: 1, MaxRepositories: 2, MaxImages: 3, CacheRules: []inventory.CacheRule{{Prefix: "hub", Upstream: "docker-hub", URL: "u"}, {Prefix: "quay"}},
			Replication: []inventory.ReplicationDestination{{Region: "r", RegistryID: "1", Prefixes: "a"}},
		},
		SucceededAt: 6, DueNames: []string{"new", "team/app"}, Protocols: map[string]string{"https://example.com/write": "2.0"},
		Removed:  []inventory.Removal{{Name: "old", CreatedAt: 4, At: 5}},
		Peaks:    inventory.Peaks{Since: 9, Series: [3]int{10, 11, 12}},
		Running:  inventory.Running{AnsweredAt: 7, Seen: map[string]inventory.Time{"h/a:v1": 8}},
		Previous: []*inventory.Repository{{Name: "a", Images: []inventory.Image{{Digest: digest(9), Tags: []string{"v1"}, Mark: inventory.Mark{Shown: true}}}}, {Name: "a", URI: "x", Images: []inventory.Image{}}},
		Sent:     []*inventory.Registry{{ID: "123456789012", Shape: 2}},
		Shapes: map[inventory.ShapeID]inventory.Shape{2: {
			External: map[string]string{"zone": "z"}, Families: inventory.Filter{Include: "f"}, Repositories: inventory.Filter{Exclude: "r"}, Tags: inventory.Filter{Include: "t", Exclude: "u"},
			PushedWithin: 1, PulledWithin: 2, NewestImages: 3, UntaggedImages: 4, UntaggedWithin: 5, InUseWithin: 6, RepositoryTags: []string{"team"}, LifecyclePolicies: true, RegistryDetails: true, Durable: true, Region: "eu-west-1",
		}},
		Repositories: []*inventory.Repository{
			{Name: "empty", Images: []inventory.Image{}},
			{
				Name: "team/app", ARN: "arn:aws:ecr:eu-west-1:123456789012:repository/team/app", URI: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app",
				RegistryID: "123456789012", CreatedAt: 1, TagMutability: "MUTABLE", EncryptionType: "KMS", KMSKey: "arn:key", ScanOnPush: &off,
				ReadAt: 5, ImagesReadAt: 2, TriedAt: 3, Denied: true, Due: true, ScansDueSince: 4,
				Summary: &inventory.Summary{
					Archived: inventory.Total{Images: 1, Bytes: 2}, Index: inventory.Total{Images: 3}, Tagged: inventory.Total{Bytes: 4}, Untagged: inventory.Total{Images: 5, Bytes: 6},
					PushedAt: 4, PulledAt: 5, MostTags: 2, Severities: inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 7}, {Severity: inventory.WordOf("LOW")}},
				},
				Details: &inventory.RepositoryDetails{
					LifecyclePolicy: true, LifecycleReadAt: 5, Tags: []inventory.ResourceTag{{Key: "team", Value: "red"}, {Key: "x"}}, TagsReadAt: 6,
				},
				Rest: inventory.Rest{Untagged: inventory.Total{Images: 1, Bytes: 2}, Archived: inventory.Total{Images: 3, Bytes: 4}, PushedAt: 5, PulledAt: 6},
				Mark: inventory.Mark{Shown: true}, Shapes: []inventory.ShapeID{2, 3},
				Images: []inventory.Image{
					{Digest: digest(0), SizeBytes: -1},
					{
						Digest: digest(1), Tags: []string{"latest", "v1"}, SizeBytes: 1 << 40, PushedAt: 4, PulledAt: 5,
						MediaType: inventory.WordOf("m"), ArtifactType: inventory.WordOf("a"), Status: inventory.ImageArchived, Mark: inventory.Mark{Shown: true},
						Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: 6, AskedAt: 7, Unfinished: 1, Partial: true, Total: 8, InUseCount: 9, LastInUseAt: 10, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 7}, {Severity: inventory.WordOf("LOW")}})},
					},
					{Digest: digest(2), HasSubject: true, Scan: &inventory.Scan{}},
					{Digest: digest(3), MediaType: inventory.OCIIndex, Index: &inventory.Index{
						Children:  []inventory.Child{{Digest: digest(1), Platform: "linux/amd64"}, {Digest: digest(0)}},
						Others:    []inventory.Digest{digest(9)},
						Platforms: []inventory.PlatformFindings{{}, {Platform: "linux/amd64", Severities: inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 7}}}},
					}},
					{Digest: digest(4), MediaType: inventory.DockerList, Index: &inventory.Index{}}, // it lists nothing
				},
			},
			{Name: "z", ScanOnPush: &on, Images: []inventory.Image{}},
		},
	}
}

func encode(tb testing.TB, registry *inventory.Registry) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := inventory.Encode(&out, registry); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestEncodingRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []*inventory.Registry{sample(), {}} {
		got, err := inventory.Decode(bytes.NewReader(encode(t, want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	}
}

// A damaged form is never taken for another inventory.
func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	good := encode(t, sample())
	for n := range good {
		if _, err := inventory.Decode(bytes.NewReader(good[:n])); !errors.Is(err, inventory.ErrFormat) {
			t.Fatalf("cut to %d of %d bytes: error %v, want ErrFormat", n, len(good), err)
		}
	}
	// The bytes of gzip's header after the first four say nothing of the content.
	const gzipHeader = 10
	for i := gzipHeader; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		got, err := inventory.Decode(bytes.NewReader(bad))
		if err == nil && cmp.Equal(got, sample()) {
			continue // one of the bits that fill up the last byte of the compressed stream
		}
		if !errors.Is(err, inventory.ErrFormat) {
			t.Fatalf("byte %d changed: got %v, error %v, want ErrFormat", i, got, err)
		}
	}
	if _, err := inventory.Decode(bytes.NewReader(append(bytes.Clone(good), good...))); !errors.Is(err, inventory.ErrFormat) {
		t.Errorf("written twice: error %v, want ErrFormat", err)
	}
}

const name = "ecr-remote-write inventory"

type m = map[int]any

// zipped is a stored form made by hand.
func zipped(t *testing.T, items ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	encoder := cbor.NewEncoder(zip)
	for _, item := range items {
		if err := encoder.Encode(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecodeForeign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		text []byte
	}{
		{"empty", nil},
		{"text", []byte("hello")},
		{"gzip of nothing", zipped(t)},
		{"another program's", zipped(t, m{1: "something else", 2: 1})},
		{"a later version", zipped(t, m{1: name, 2: 3, 3: 0}, m{}, m{1: 0})},
		{"no trailer", zipped(t, m{1: name, 2: 1, 3: 0}, m{})},
		{"too few images", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 1}, m{1: 0})},
		{"a hostile number of images", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 1 << 60})},
		{"a negative number of images", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: -1}, m{1: 0})},
		{"a null repository", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: nil, 2: 0}, m{1: 0})},
		{"not in order", zipped(t, m{1: name, 2: 1, 3: 2}, m{}, m{1: m{1: "b"}, 2: 0}, m{1: m{1: "a"}, 2: 0}, m{1: 0})},
		{"an image twice", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 2}, m{}, m{}, m{1: 2})},
		{"tags not in order", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 1}, m{2: []string{"b", "a"}}, m{1: 1})},
		{"a tag twice", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 1}, m{2: []string{"a", "a"}}, m{1: 1})},
		{"a severity twice", zipped(t, m{1: name, 2: 1, 3: 1}, m{}, m{1: m{1: "a"}, 2: 1}, m{9: m{3: []m{{1: "LOW", 2: 1}, {1: "LOW", 2: 2}}}}, m{1: 1})},
		{"a wrong total", zipped(t, m{1: name, 2: 1, 3: 0}, m{}, m{1: 5})},
		{"more behind it", zipped(t, m{1: name, 2: 1, 3: 0}, m{}, m{1: 0}, "more")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inventory.Decode(bytes.NewReader(c.text)); !errors.Is(err, inventory.ErrFormat) {
				t.Errorf("got %v, error %v, want ErrFormat", got, err)
			}
		})
	}
}

// Of a later version only what wrote it is read, as far as that can be.
func TestDecodeLater(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		text []byte
	}{
		{`written by "v9.8.7"`, zipped(t, m{1: name, 2: 3}, m{22: "v9.8.7", 1: []string{"another type"}})},
		{`written by ""`, zipped(t, m{1: name, 2: 3}, "text")},
		{`written by ""`, zipped(t, m{1: name, 2: 3})},
	} {
		got, err := inventory.Decode(bytes.NewReader(c.text))
		if got != nil || !errors.Is(err, inventory.ErrFormat) || !errors.Is(err, inventory.ErrLater) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, error %v, want ErrLater with %s", got, err, c.want)
		}
	}
}

// Version 1 stored what was hidden; what was pushed and not hidden is shown.
func TestDecodeVersion1(t *testing.T) {
	t.Parallel()
	for _, pushedAt := range []int{0, 5} {
		got, err := inventory.Decode(bytes.NewReader(zipped(t, m{1: name, 2: 1, 3: 2, 4: 1}, m{1: "123456789012", 3: pushedAt},
			m{1: m{1: "a", 15: true}, 2: 2}, m{2: []string{"v1"}, 8: "ACTIVE"}, m{1: digest(1), 10: true}, // key 15 was Unsent
			m{1: m{1: "b", 16: true}, 2: 0},
			m{1: m{1: "c"}, 2: 1}, m{2: []string{"v2"}},
			m{1: 3})))
		if err != nil {
			t.Fatal(err)
		}
		shown := inventory.Mark{Shown: pushedAt > 0}
		want := &inventory.Registry{
			ID: "123456789012", PushedAt: inventory.Time(pushedAt),
			Repositories: []*inventory.Repository{
				{Name: "a", Mark: shown, Images: []inventory.Image{{Tags: []string{"v1"}, Status: inventory.WordOf("ACTIVE"), Mark: shown}, {Digest: digest(1)}}},
				{Name: "b", Images: []inventory.Image{}},
			},
			Previous: []*inventory.Repository{{Name: "c", Mark: shown, Images: []inventory.Image{{Tags: []string{"v2"}, Mark: shown}}}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pushed at %d: decoded (-want +got):\n%s", pushedAt, diff)
		}
	}
}

// A reader's own fault is not the content's: the state must not be set aside for it.
func TestDecodeReaderFault(t *testing.T) {
	t.Parallel()
	fault := errors.New("connection reset")
	good := encode(t, sample())
	for n := range good {
		_, err := inventory.Decode(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(fault)))
		if !errors.Is(err, fault) || errors.Is(err, inventory.ErrFormat) {
			t.Fatalf("fault after %d bytes: error %v", n, err)
		}
	}
}

func TestEncodeWriterFault(t *testing.T) {
	t.Parallel()
	if err := inventory.Encode(failingWriter{}, sample()); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add(encode(f, &inventory.Registry{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		registry, err := inventory.Decode(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := inventory.Decode(bytes.NewReader(encode(t, registry)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(registry, again); diff != "" {
			t.Error(diff)
		}
	})
}
