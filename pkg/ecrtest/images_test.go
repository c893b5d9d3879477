package ecrtest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func TestImageFilters(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	names := make(map[string]string)
	for _, img := range []struct{ name, status string }{
		{"old", ""}, {"active", "ACTIVE"}, {"archived", "ARCHIVED"}, {"activating", "ACTIVATING"},
	} {
		for _, tags := range [][]string{nil, {img.name}} {
			name := fmt.Sprint(img.name, len(tags))
			names[putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest(name), Tags: tags, Status: img.status})] = name
		}
	}
	for _, tc := range []struct {
		tags types.TagStatus
		st   types.ImageStatusFilter
		want string
	}{
		{"", "", "active0 active1 old0 old1"},
		{"ANY", "ACTIVE", "active0 active1 old0 old1"},
		{"TAGGED", "", "active1 old1"},
		{"UNTAGGED", "", "active0 old0"},
		{"", "ARCHIVED", "archived0 archived1"},
		{"TAGGED", "ACTIVATING", "activating1"},
		{"UNTAGGED", "ANY", "activating0 active0 archived0 old0"},
		{"", "ANY", "activating0 activating1 active0 active1 archived0 archived1 old0 old1"},
	} {
		// Pages of one: the filter applies before pages are cut.
		pages := describeAll(t, client, &ecr.DescribeImagesInput{
			RepositoryName: aws.String("app"), MaxResults: aws.Int32(1),
			Filter: &types.DescribeImagesFilter{TagStatus: tc.tags, ImageStatus: tc.st},
		}, nil)
		var got []string
		for _, page := range pages {
			if len(page) != 1 {
				t.Errorf("%q %q: a page of %d", tc.tags, tc.st, len(page))
			}
			for _, digest := range page {
				got = append(got, names[digest])
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(strings.Fields(tc.want), got); diff != "" {
			t.Errorf("%q %q:\n%s", tc.tags, tc.st, diff)
		}
	}
}

func TestDescribeImagesByID(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	a := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("a"), Tags: []string{"v1", "latest"}})
	b := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("b")})
	c := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("c"), Tags: []string{"old"}, Status: "ARCHIVED"})
	id := func(digest, tag string) types.ImageIdentifier {
		var id types.ImageIdentifier
		if digest != "" {
			id.ImageDigest = &digest
		}
		if tag != "" {
			id.ImageTag = &tag
		}
		return id
	}
	hundred := slices.Repeat([]types.ImageIdentifier{id(a, "")}, 100)
	const notFound, invalid = "ImageNotFoundException", "InvalidParameterException"
	for _, tc := range []struct {
		name   string
		ids    []types.ImageIdentifier
		change func(*ecr.DescribeImagesInput)
		want   []string
		code   string
		says   string
	}{
		{name: "digest", ids: []types.ImageIdentifier{id(b, "")}, want: []string{b}},
		{name: "tag", ids: []types.ImageIdentifier{id("", "latest")}, want: []string{a}},
		{name: "digest and its tag", ids: []types.ImageIdentifier{id(a, "v1")}, want: []string{a}},
		{name: "one image twice", ids: []types.ImageIdentifier{id("", "v1"), id(b, ""), id(a, "")}, want: []string{a, b}},
		{name: "as many as may be", ids: hundred, want: []string{a}},
		{name: "an archived one", ids: []types.ImageIdentifier{id(c, "")}, want: nil},
		{
			name: "an archived one, asked for", ids: []types.ImageIdentifier{id(c, "")}, want: []string{c},
			change: func(in *ecr.DescribeImagesInput) {
				in.Filter = &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterArchived}
			},
		},
		{
			name: "tag that is not", ids: []types.ImageIdentifier{id(a, ""), id("", "v2")}, code: notFound,
			says: "The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'app' in the registry with id '123456789012'",
		},
		{name: "digest that is not", ids: []types.ImageIdentifier{id(ecrtest.Digest("z"), "")}, code: notFound},
		{name: "digest that is none", ids: []types.ImageIdentifier{id("sha256:123", "")}, code: notFound},
		{name: "digest and another's tag", ids: []types.ImageIdentifier{id(b, "v1")}, code: notFound},
		{name: "neither", ids: []types.ImageIdentifier{{}}, code: invalid},
		{name: "none", ids: []types.ImageIdentifier{}, code: invalid, says: "greater than or equal to 1"},
		{name: "too many", ids: append(hundred, id(b, "")), code: invalid, says: "less than or equal to 100"},
		{
			name: "with a page size", ids: []types.ImageIdentifier{id(a, "")}, code: invalid,
			change: func(in *ecr.DescribeImagesInput) { in.MaxResults = aws.Int32(10) },
		},
		{
			name: "with a token", ids: []types.ImageIdentifier{id(a, "")}, code: invalid,
			change: func(in *ecr.DescribeImagesInput) { in.NextToken = aws.String("x") },
		},
		{
			name: "of no repository", ids: []types.ImageIdentifier{id(a, "")}, code: "RepositoryNotFoundException",
			change: func(in *ecr.DescribeImagesInput) { in.RepositoryName = aws.String("nothing") },
		},
	} {
		in := &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: tc.ids}
		if tc.change != nil {
			tc.change(in)
		}
		out, err := client.DescribeImages(t.Context(), in)
		if tc.code != "" {
			checkCode(t, tc.name, err, tc.code, tc.says)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, img := range out.ImageDetails {
			got = append(got, *img.ImageDigest)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || out.NextToken != nil {
			t.Errorf("%s: token %v\n%s", tc.name, out.NextToken, diff)
		}
	}
}

// Each change of the registry is what the next call sees.
func TestRegistryChanges(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	a, b := ecrtest.Digest("a"), ecrtest.Digest("b")
	names := map[string]string{a: "a", b: "b"}
	for _, step := range []struct {
		what string
		do   func() error
		want string
	}{
		{"push", func() error {
			return reg.PutImage("app", ecrtest.Image{Digest: a, Tags: []string{"v1", "latest", "v1"}, SizeBytes: new(int64(7))})
		}, "a[latest v1]"},
		{"push another, which takes a tag", func() error {
			return reg.PutImage("app", ecrtest.Image{Digest: b, Tags: []string{"latest", "v2"}})
		}, "a[v1] b[latest v2]"},
		{"push the first again, without its tag", func() error {
			return reg.PutImage("app", ecrtest.Image{Digest: a, Tags: []string{"v3"}})
		}, "a[v3] b[latest v2]"},
		{"tag", func() error { return reg.Tag("app", a, "v1") }, "a[v1 v3] b[latest v2]"},
		{"tag with what it has", func() error { return reg.Tag("app", a, "v1") }, "a[v1 v3] b[latest v2]"},
		{"move a tag", func() error { return reg.Tag("app", a, "latest") }, "a[latest v1 v3] b[v2]"},
		{"untag", func() error { return reg.Untag("app", "v2") }, "a[latest v1 v3] b[]"},
		{"give back a tag", func() error { return reg.Tag("app", b, "v2") }, "a[latest v1 v3] b[v2]"},
		{"archive", func() error { return reg.Archive("app", b, now) }, "a[latest v1 v3]"},
		{"restore", func() error { return reg.Restore("app", b, now) }, "a[latest v1 v3] b[v2]"},
		{"update", func() error {
			return reg.UpdateImage("app", a, func(img *ecrtest.Image) { img.Tags, img.Digest = []string{"v2"}, b })
		}, "a[v2] b[]"},
		{"delete", func() error { return reg.DeleteImage("app", a) }, "b[]"},
		{"use the tag of a deleted one", func() error { return reg.Tag("app", b, "v2") }, "b[v2]"},
		{"change the repository", func() error { return reg.PutRepository(ecrtest.Repository{Name: "app", TagMutability: "IMMUTABLE"}) }, "b[v2]"},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		out, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		var got []string
		for _, img := range out.ImageDetails {
			got = append(got, fmt.Sprint(names[*img.ImageDigest], img.ImageTags))
		}
		slices.Sort(got)
		if diff := cmp.Diff(step.want, strings.Join(got, " ")); diff != "" {
			t.Fatalf("%s:\n%s", step.what, diff)
		}
		for _, img := range reg.Images("app") {
			for _, tag := range img.Tags {
				if by, ok := reg.Image("app", tag); !ok || by.Digest != img.Digest {
					t.Fatalf("%s: tag %s finds %v", step.what, tag, by.Digest)
				}
			}
		}
	}
	if img, _ := reg.Image("app", b); !img.ArchivedAt.Equal(now) || !img.ActivatedAt.Equal(now) {
		t.Errorf("archived and restored: %+v", img)
	}
	if _, ok := reg.Image("app", "v1"); ok {
		t.Error("a tag outlived its image")
	}
	if !reg.DeleteRepository("app") || reg.DeleteRepository("app") {
		t.Error("a repository is deleted once")
	}
	if _, ok := reg.Repository("app"); ok || reg.Images("app") != nil {
		t.Error("a deleted repository is there")
	}
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	reg, _, _ := start(t, "app")
	digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("a")})
	before := contentsOf(reg)
	image := func(img ecrtest.Image) error { return reg.PutImage("app", img) }
	for name, err := range map[string]error{
		"repository without name":   reg.PutRepository(ecrtest.Repository{}),
		"repository in upper case":  reg.PutRepository(ecrtest.Repository{Name: "App"}),
		"repository with a slash":   reg.PutRepository(ecrtest.Repository{Name: "app/"}),
		"repository too long":       reg.PutRepository(ecrtest.Repository{Name: strings.Repeat("a", 257)}),
		"mutability":                reg.PutRepository(ecrtest.Repository{Name: "app", TagMutability: "mutable"}),
		"encryption":                reg.PutRepository(ecrtest.Repository{Name: "app", Encryption: &ecrtest.Encryption{Type: "ROT13"}}),
		"image in no repository":    reg.PutImage("nothing", ecrtest.Image{Digest: digest}),
		"image without digest":      image(ecrtest.Image{}),
		"image with half a digest":  image(ecrtest.Image{Digest: digest[:40]}),
		"image in upper case":       image(ecrtest.Image{Digest: "sha256:" + strings.Repeat("A", 64)}),
		"image with no hexadecimal": image(ecrtest.Image{Digest: "sha256:" + strings.Repeat("x", 64)}),
		"image status":              image(ecrtest.Image{Digest: digest, Status: "LOST"}),
		"image tag":                 image(ecrtest.Image{Digest: digest, Tags: []string{"-v"}}),
		"image size":                image(ecrtest.Image{Digest: digest, SizeBytes: new(int64(-1))}),
		"tag on no image":           reg.Tag("app", ecrtest.Digest("z"), "v1"),
		"untag what is not":         reg.Untag("app", "v1"),
		"delete what is not":        reg.DeleteImage("app", ecrtest.Digest("z")),
		"archive what is not":       reg.Archive("app", "v1", now),
		"update to no status":       reg.UpdateImage("app", digest, func(img *ecrtest.Image) { img.Status = "?" }),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if diff := cmp.Diff(before, contentsOf(reg)); diff != "" {
		t.Errorf("what was refused changed the registry:\n%s", diff)
	}
}

// What goes into a registry and what comes out is the caller's own.
func TestRegistryCopies(t *testing.T) {
	t.Parallel()
	reg, _, _ := start(t)
	repo := ecrtest.Repository{
		Name: "app", CreatedAt: now, ExclusionFilters: []string{"a"}, Encryption: &ecrtest.Encryption{Type: "KMS"}, ScanOnPush: new(true),
	}
	img := ecrtest.Image{
		Digest: ecrtest.Digest("a"), Tags: []string{"v1"}, SizeBytes: new(int64(1)), PushedAt: now,
		Scan: &ecrtest.ScanSummary{CompletedAt: now, Counts: map[string]int32{"LOW": 1}}, ScanStatus: &ecrtest.ScanStatus{Status: "COMPLETE"},
	}
	putRepository(t, reg, repo)
	putImage(t, reg, "app", img)
	before := contentsOf(reg)
	spoil := func(repo ecrtest.Repository, img ecrtest.Image) {
		repo.ExclusionFilters[0], repo.Encryption.Type, *repo.ScanOnPush = "b", "AES256", false
		img.Tags[0], *img.SizeBytes, img.Scan.Counts["LOW"], img.ScanStatus.Status = "v2", 2, 2, "FAILED"
		img.Scan.CompletedAt = time.Time{}
	}
	spoil(repo, img)
	spoil(reg.Repositories()[0], reg.Images("app")[0])
	one, _ := reg.Repository("app")
	found, _ := reg.Image("app", "v1")
	spoil(one, found)
	if diff := cmp.Diff(before, contentsOf(reg)); diff != "" {
		t.Error(diff)
	}
}

// checkCode checks an error's code as the SDK read it, and its message.
func checkCode(t *testing.T, name string, err error, code, says string) {
	t.Helper()
	got, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Errorf("%s: no error of the API: %v", name, err)
		return
	}
	if got.ErrorCode() != code || !strings.Contains(got.ErrorMessage(), says) {
		t.Errorf("%s: got %s: %s, want %s: …%s…", name, got.ErrorCode(), got.ErrorMessage(), code, says)
	}
}

func imageID(tag string) types.ImageIdentifier { return types.ImageIdentifier{ImageTag: &tag} }
