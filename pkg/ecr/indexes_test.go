package ecr_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const (
	ociIndex   = "application/vnd.oci.image.index.v1+json"
	dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func digests(t *testing.T, names ...string) []inventory.Digest {
	t.Helper()
	list := make([]inventory.Digest, len(names))
	for i, name := range names {
		var err error
		list[i], err = inventory.ParseDigest(ecrtest.Digest(name))
		check(t, err)
	}
	return list
}

// readers serves a registry with repository app, and a client that may read its indexes.
func readers(t *testing.T) (*ecrtest.Registry, *ecrtest.Server, *ecr.Client) {
	t.Helper()
	registry, server := start(t, 0)
	check(t, registry.SetPullTimeExclusions("arn:aws:iam::123456789012:role/ecr-remote-write"))
	client := newClient(server, ecr.Options{})
	if reason, err := client.CheckPullTimes(t.Context()); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	return registry, server, client
}

func putIndex(t *testing.T, registry *ecrtest.Registry, name string, children ...ecrtest.Child) {
	t.Helper()
	check(t, registry.PutImage("app", ecrtest.Image{
		Digest: ecrtest.Digest(name), ManifestMediaType: ociIndex, Children: children, PulledAt: pulledAt,
	}))
}

var pulledAt = time.Unix(1_700_000_000, 0)

func entry(name, platform string) ecrtest.Child {
	return ecrtest.Child{Digest: ecrtest.Digest(name), Platform: platform}
}

func list(name string) ecrtest.Child {
	return ecrtest.Child{Digest: ecrtest.Digest(name), MediaType: ociIndex}
}

// results are those of a table: the children by name, or a part of the error's text.
type results map[string]any

func (want results) check(t *testing.T, names []string, got []inventory.IndexResult) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d results, want %d", len(got), len(want))
	}
	for _, result := range got {
		name := ""
		for _, n := range names {
			if digests(t, n)[0] == result.Digest {
				name = n
			}
		}
		switch want := want[name].(type) {
		case []inventory.Child:
			if diff := cmp.Diff(want, result.Children, cmpopts.EquateEmpty()); diff != "" || result.Err != nil {
				t.Errorf("%s: error %v\n%s", name, result.Err, diff)
			}
		case string:
			if result.Err == nil || !strings.Contains(result.Err.Error(), want) || result.Children != nil {
				t.Errorf("%s: error %v, want %q; children %v", name, result.Err, want, result.Children)
			}
		default:
			t.Errorf("%s: an unexpected result: %+v", name, result)
		}
	}
}

func children(t *testing.T, pairs ...string) []inventory.Child {
	t.Helper()
	var list []inventory.Child
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, inventory.Child{Digest: digests(t, pairs[i])[0], Platform: pairs[i+1]})
	}
	return list
}

// The children of an index are the images that it lists, directly or in an index.
func TestChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server, client := readers(t)
		putIndex(t, registry, "one", entry("a", "linux/amd64"), ecrtest.Attestation(ecrtest.Digest("p"), ecrtest.Digest("a")))
		putIndex(t, registry, "two", entry("a", "linux/amd64"), entry("b", "linux/arm64/v8"), entry("b", "linux/arm64/v8"), entry("b", "linux/arm"))
		putIndex(t, registry, "empty")
		putIndex(t, registry, "attested", ecrtest.Attestation(ecrtest.Digest("p"), ecrtest.Digest("a")))
		putIndex(t, registry, "no platform", entry("a", ""))
		putIndex(t, registry, "nested", list("two"), entry("c", "linux/s390x"), list("inner"))
		putIndex(t, registry, "inner", entry("d", "linux/386"), list("deeper"), entry("c", "linux/s390x"))
		putIndex(t, registry, "deeper", entry("e", "linux/amd64"))
		putIndex(t, registry, "itself", entry("a", "linux/amd64"), list("itself"))
		putIndex(t, registry, "of a missing index", entry("a", "linux/amd64"), list("missing"))
		putIndex(t, registry, "layers", ecrtest.Child{Digest: ecrtest.Digest("a"), MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"}, entry("b", "linux/amd64"))
		check(t, registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("image"), ManifestMediaType: "application/vnd.oci.image.manifest.v1+json"}))
		check(t, registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("archived"), ManifestMediaType: ociIndex, Status: "ARCHIVED"}))
		names := []string{
			"one", "two", "empty", "attested", "no platform", "nested", "inner", "itself", "of a missing index", "layers", "image", "archived", "gone",
		}
		got, err := client.Children(t.Context(), "app", digests(t, names...))
		check(t, err)
		results{
			"one": children(t, "a", "linux/amd64"), "two": children(t, "a", "linux/amd64", "b", "linux/arm64/v8", "b", "linux/arm"),
			"empty": children(t), "attested": children(t), "no platform": children(t, "a", ""),
			"nested":             children(t, "c", "linux/s390x", "a", "linux/amd64", "b", "linux/arm64/v8", "b", "linux/arm", "d", "linux/386"),
			"inner":              children(t, "d", "linux/386", "c", "linux/s390x", "e", "linux/amd64"),
			"itself":             children(t, "a", "linux/amd64"),
			"of a missing index": "ImageNotFound", "layers": children(t, "b", "linux/amd64"),
			"image": "not an index", "archived": "ImageInaccessible", "gone": "ImageNotFound",
		}.check(t, names, got)
		if n := server.Calls()[ecr.IndexOperation]; n != 2 {
			t.Errorf("%d calls, want 2: one for all, one for what they list", n)
		}
		for _, image := range registry.Images("app") {
			if !image.PulledAt.IsZero() && !image.PulledAt.Equal(pulledAt) {
				t.Errorf("%s was pulled at %v", image.Digest, image.PulledAt)
			}
		}
	})
}

// Each request names a hundred indexes.
func TestChildrenCalls(t *testing.T) {
	for n, want := range map[int]int{1: 1, 100: 1, 101: 2, 1000: 10} {
		synctest.Test(t, func(t *testing.T) {
			registry, server, client := readers(t)
			var names []string
			for i := range n {
				names = append(names, fmt.Sprint(i))
				putIndex(t, registry, names[i], entry("a", "linux/amd64"))
			}
			got, err := client.Children(t.Context(), "app", digests(t, names...))
			check(t, err)
			if calls := server.Calls()[ecr.IndexOperation]; len(got) != n || calls != want {
				t.Errorf("%d results in %d calls, want %d in %d", len(got), calls, n, want)
			}
		})
	}
}

// After an error the result has what was read before, but no index whose own indexes were
// not read.
func TestChildrenErrors(t *testing.T) {
	denied := ecrtest.Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "no"}
	for name, tc := range map[string]struct {
		after int // requests that succeed
		fault ecrtest.Fault
		kind  error
		want  int
	}{
		"denied":                   {0, denied, awsapi.ErrDenied, 0},
		"denied from the second":   {1, denied, awsapi.ErrDenied, 99},
		"denied the nested":        {2, denied, awsapi.ErrDenied, 149},
		"no repository":            {0, ecrtest.Fault{Status: 400, Code: "RepositoryNotFoundException"}, awsapi.ErrGone, 0},
		"neither images nor fails": {0, ecrtest.Fault{Body: `{}`}, awsapi.ErrIncomplete, 0},
		"down":                     {0, ecrtest.FaultServer, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry, server, client := readers(t)
				putIndex(t, registry, "0", entry("a", "linux/amd64"), list("inner"))
				putIndex(t, registry, "inner", entry("b", "linux/arm64"))
				names := []string{"0"}
				for i := 1; i < 150; i++ {
					names = append(names, fmt.Sprint(i))
					putIndex(t, registry, names[i], entry("a", "linux/amd64"))
				}
				requests := 0
				server.Before(ecrtest.Match{Operation: ecr.IndexOperation}, ecrtest.Always, func(ecrtest.Request) {
					if requests++; requests == tc.after+1 {
						server.Fail(ecrtest.Match{Operation: ecr.IndexOperation}, ecrtest.Always, tc.fault)
					}
				})
				got, err := client.Children(t.Context(), "app", digests(t, names...))
				if err == nil || tc.kind != nil && !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), "repository app") {
					t.Errorf("error %v", err)
				}
				if len(got) != tc.want {
					t.Errorf("%d results, want %d", len(got), tc.want)
				}
			})
		})
	}
}

// A response that is too large is read in halves, down to the index that is too large alone.
func TestChildrenTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server, client := readers(t)
		var names []string
		want := results{}
		for i := range 8 {
			names = append(names, fmt.Sprint(i))
			// Together they have 24 MiB, of which a response may have 16.
			check(t, registry.PutImage("app", ecrtest.Image{
				Digest: ecrtest.Digest(names[i]), ManifestMediaType: dockerList,
				Manifest: `{"manifests":[],"annotations":{"x":"` + strings.Repeat("x", 3<<20) + `"}}`,
			}))
			want[names[i]] = children(t)
		}
		check(t, registry.PutImage("app", ecrtest.Image{
			Digest: ecrtest.Digest("5"), ManifestMediaType: dockerList, Manifest: `{"manifests":[],"x":"` + strings.Repeat("x", 17<<20) + `"}`,
		}))
		want["5"] = "too large"
		got, err := client.Children(t.Context(), "app", digests(t, names...))
		check(t, err)
		want.check(t, names, got)
		// All; 0 to 3; 4 to 7; 4 and 5; 4; 5; 6 and 7.
		if n := server.Calls()[ecr.IndexOperation]; n != 7 {
			t.Errorf("%d calls, want 7", n)
		}
	})
}

// What a response does not say about an index of the request is not known, and what it says
// about others is ignored.
func TestChildrenIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, client := readers(t)
		image := func(name, manifest string) string {
			return fmt.Sprintf(`{"imageId":{"imageDigest":%q},"imageManifestMediaType":%q,"imageManifest":%q}`, ecrtest.Digest(name), ociIndex, manifest)
		}
		server.Fail(ecrtest.Match{Operation: ecr.IndexOperation}, 1, ecrtest.Fault{Body: `{"images":[` + image("other", `{"manifests":[]}`) + `,{},` +
			image("a", `{"manifests":[]}`) + `],"failures":[{"imageId":{"imageDigest":"` + ecrtest.Digest("b") + `"},"failureCode":"KmsError"},{}]}`})
		names := []string{"a", "b", "c"}
		got, err := client.Children(t.Context(), "app", digests(t, names...))
		check(t, err)
		results{"a": children(t), "b": "KmsError", "c": "the response does not have it"}.check(t, names, got)
	})
}
