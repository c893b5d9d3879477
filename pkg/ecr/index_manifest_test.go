package ecr

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// A manifest that is not that of an index says nothing about children.
func TestIndexManifest(t *testing.T) {
	t.Parallel()
	const image = "application/vnd.oci.image.manifest.v1+json"
	digest := func(i byte) (d inventory.Digest) { d[31] = i; return d }
	entry := func(i byte, more string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1%s}`, image, digest(i), more)
	}
	index := func(entries ...string) string {
		return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
	}
	for _, tc := range []struct {
		name, mediaType, text string
		want                  []string // platforms of digests 1, 2, …
		err                   string
	}{
		{name: "without platforms", mediaType: ociIndex, text: index(entry(1, "")), want: []string{""}},
		{name: "a media type in the manifest only", text: `{"mediaType":"` + dockerList + `","manifests":[` + entry(1, "") + `]}`, want: []string{""}},
		{
			name: "platforms", mediaType: dockerList, text: index(
				entry(1, `,"platform":{"os":"linux","architecture":"arm","variant":"v7","features":["sse4"]}`),
				entry(2, `,"platform":{"os":"windows","os.version":"10.0.17763.1","architecture":"amd64"}`),
				entry(3, `,"platform":{"os":"linux","architecture":""}`), entry(4, `,"platform":null`),
				entry(5, `,"platform":{"os":"`+strings.Repeat("x", 65)+`","architecture":"amd64"}`),
			), want: []string{"linux/arm/v7", "windows(10.0.17763.1)/amd64", "", "", ""},
		},
		{
			name: "attestations", mediaType: ociIndex, text: index(
				entry(1, `,"annotations":{"org.example":"x"}`), entry(9, `,"platform":{"os":"unknown","architecture":"unknown"}`),
				entry(9, `,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`),
			), want: []string{""},
		},
		{name: "no entries", mediaType: ociIndex, text: index(), want: []string{}},
		{name: "an image", mediaType: image, text: `{"mediaType":"` + image + `","config":{},"layers":[]}`, err: "not an index"},
		{name: "said to be an index", mediaType: ociIndex, text: `{"mediaType":"` + image + `","config":{},"layers":[]}`, err: "not an index"},
		{name: "said to be an image", mediaType: image, text: index(), err: "not an index"},
		{name: "no media type", text: index(), err: "not an index"},
		{name: "no list", mediaType: ociIndex, text: `{"schemaVersion":2}`, err: "no list of manifests"},
		{name: "a null list", mediaType: ociIndex, text: `{"manifests":null}`, err: "no list of manifests"},
		{name: "layers too", mediaType: ociIndex, text: `{"manifests":[],"layers":[]}`, err: "config or layers"},
		{name: "a null entry", mediaType: ociIndex, text: index("null"), err: "entry 1"},
		{name: "no digest", mediaType: ociIndex, text: index(entry(1, ""), `{}`), err: "entry 2"},
		{name: "another algorithm", mediaType: ociIndex, text: index(`{"mediaType":"` + image + `","digest":"sha512:00"}`), err: "entry 1"},
		{name: "no JSON", mediaType: ociIndex, text: `<html>`, err: "decoding"},
		{name: "nothing", mediaType: ociIndex, err: "decoding"},
		{name: "another type", mediaType: ociIndex, text: `{"manifests":{}}`, err: "decoding"},
		{name: "too many", mediaType: ociIndex, text: index(slices.Repeat([]string{entry(1, "")}, 1001)...), err: "more than 1000 entries"},
	} {
		got, err := converter{&awsapi.Invalid{}, "index"}.index(tc.mediaType, tc.text)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) || got.children != nil {
				t.Errorf("%s: %v, error %v, want %q", tc.name, got, err, tc.err)
			}
			continue
		}
		var want []inventory.Child
		for i, platform := range tc.want {
			want = append(want, inventory.Child{Digest: digest(byte(i + 1)), Platform: platform})
		}
		if diff := cmp.Diff(want, got.children, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: error %v\n%s", tc.name, err, diff)
		}
	}
}

// Any text leads to an error or to a bounded number of distinct children with platforms that
// can be values of labels.
func FuzzIndexManifest(f *testing.F) {
	digest := inventory.Digest{31: 1}.String()
	for _, text := range []string{
		`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[{"mediaType":"` + imageTypes[0] + `","digest":"` + digest + `","platform":{"os":"linux","architecture":"arm","variant":"v7"}}]}`,
		`{"manifests":[{"mediaType":"` + ociIndex + `","digest":"` + digest + `"},{"digest":"` + digest + `","annotations":{"vnd.docker.reference.type":1}}]}`,
		`{"manifests":[{"mediaType":"` + imageTypes[1] + `","digest":"` + digest + `","platform":{"os":"windows","os.version":"\ud800","architecture":"amd64"}}]}`,
		`{"manifests":[],"layers":[]}`, `{"manifests":null}`, `[]`, `{`, `null`,
	} {
		f.Add(ociIndex, text)
		f.Add("", text)
	}
	f.Fuzz(func(t *testing.T, mediaType, text string) {
		got, err := converter{&awsapi.Invalid{}, "index"}.index(mediaType, text)
		if err != nil {
			if got.children != nil || got.nested != nil {
				t.Errorf("children in spite of %v", err)
			}
			return
		}
		if !strings.ContainsAny(text, "[") {
			t.Errorf("an index without a list: %q", text)
		}
		seen := map[inventory.Child]bool{}
		for _, child := range got.children {
			if seen[child] {
				t.Errorf("%v twice", child)
			}
			seen[child] = true
			for part := range strings.SplitSeq(child.Platform, "/") {
				if part != "" && len(part) > 2*64+2 || strings.ToValidUTF8(part, "") != part {
					t.Errorf("platform %q", child.Platform)
				}
			}
		}
		if len(got.children)+len(got.nested) > maxChildren {
			t.Errorf("%d children", len(got.children)+len(got.nested))
		}
	})
}
