package ecrtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// describeAll reads all pages of a repository's images and returns the digests of
// each page. Between two pages it calls between, if that is not nil, with the last.
func describeAll(t *testing.T, client *ecr.Client, in *ecr.DescribeImagesInput, between func(last []string)) (pages [][]string) {
	t.Helper()
	paginator := ecr.NewDescribeImagesPaginator(client, in)
	for paginator.HasMorePages() {
		if between != nil && len(pages) > 0 {
			between(pages[len(pages)-1])
		}
		out, err := paginator.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		page := []string{}
		for _, img := range out.ImageDetails {
			page = append(page, *img.ImageDigest)
		}
		pages = append(pages, page)
	}
	return pages
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t, "empty", "exact", "large")
	putImages(t, reg, "exact", 100)
	putImages(t, reg, "large", 2_050)
	for _, tc := range []struct {
		repository string
		maxResults *int32
		limit      int
		want       []int
	}{
		{"empty", nil, 0, []int{0}},
		{"exact", nil, 0, []int{100}}, // no token leads to an empty page
		{"exact", aws.Int32(99), 0, []int{99, 1}},
		{"exact", aws.Int32(1000), 0, []int{100}},
		{"exact", aws.Int32(50), 0, []int{50, 50}},
		{"large", aws.Int32(1000), 0, []int{1000, 1000, 50}},
		{"large", aws.Int32(1000), 700, []int{700, 700, 650}},
	} {
		srv.SetPageLimit("DescribeImages", tc.limit)
		pages := describeAll(t, client, &ecr.DescribeImagesInput{RepositoryName: &tc.repository, MaxResults: tc.maxResults}, nil)
		var sizes []int
		for _, page := range pages {
			sizes = append(sizes, len(page))
		}
		if diff := cmp.Diff(tc.want, sizes); diff != "" {
			t.Errorf("%s by %v:\n%s", tc.repository, aws.ToInt32(tc.maxResults), diff)
		}
		all := slices.Concat(pages...)
		if slices.Sort(all); len(slices.Compact(all)) != len(reg.Images(tc.repository)) {
			t.Errorf("%s: %d different images", tc.repository, len(slices.Compact(all)))
		}
	}
}

func TestRepositoryPages(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 250 {
		names = append(names, fmt.Sprintf("team-%d/app-%03d", i%3, i))
	}
	_, _, client := start(t, names...)
	slices.Sort(names)
	var got []string
	var sizes []int
	paginator := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{})
	for paginator.HasMorePages() {
		out, err := paginator.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.Repositories))
		for _, repo := range out.Repositories {
			got = append(got, *repo.RepositoryName)
		}
	}
	if diff := cmp.Diff([]int{100, 100, 50}, sizes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
}

// While pages are read, images come and go: every image that was there all the
// time is seen once, and none twice.
func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	digests := putImages(t, reg, "app", 300)
	slices.Sort(digests)
	gone := make(map[string]bool)
	page := 0
	pages := describeAll(t, client, &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), MaxResults: aws.Int32(30)}, func(last []string) {
		// The image that the last page ended with, one it had, and one to come.
		page++
		for _, digest := range []string{last[len(last)-1], last[0], digests[len(digests)-page]} {
			gone[digest] = true
			// It may be one that is gone already.
			if _, ok := reg.Image("app", digest); !ok {
				continue
			}
			if err := reg.DeleteImage("app", digest); err != nil {
				t.Error(err)
			}
		}
		for i := range 10 {
			putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint("new", page, i))})
		}
	})
	counts := make(map[string]int)
	for _, digest := range slices.Concat(pages...) {
		counts[digest]++
	}
	for digest, n := range counts {
		if n > 1 {
			t.Errorf("%s was seen %d times", digest, n)
		}
	}
	for _, digest := range digests {
		if !gone[digest] && counts[digest] == 0 {
			t.Errorf("%s was not seen", digest)
		}
	}
}

// A repository that is listed between two pages does not disturb the pages either.
func TestRepositoryPagesAreStable(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "a1", "b1", "c1", "d1")
	in := &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(2)}
	first, err := client.DescribeRepositories(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	reg.DeleteRepository("b1")
	putRepository(t, reg, ecrtest.Repository{Name: "a0"})
	in.NextToken = first.NextToken
	second, err := client.DescribeRepositories(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, repo := range second.Repositories {
		got = append(got, *repo.RepositoryName)
	}
	if diff := cmp.Diff([]string{"c1", "d1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	const name = "team/application" // long enough to be in no token by chance
	reg, srv, client := start(t, name, "other")
	putImages(t, reg, name, 10)
	putImages(t, reg, "other", 10)
	ctx := t.Context()
	images := func(name string, filter *types.DescribeImagesFilter, token *string) (*string, error) {
		out, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &name, MaxResults: aws.Int32(5), Filter: filter, NextToken: token,
		})
		if err != nil {
			return nil, err
		}
		return out.NextToken, nil
	}
	token, err := images(name, nil, nil)
	if err != nil || token == nil {
		t.Fatal(token, err)
	}
	if again, _ := images(name, nil, nil); again == nil || *again == *token {
		t.Error("a token can be foreseen")
	}
	for _, part := range []string{name, "sha256", account, reg.Images(name)[4].Digest[7:20]} {
		if strings.Contains(*token, part) {
			t.Errorf("token %s shows %s", *token, part)
		}
	}
	garbled := "A" + (*token)[1:]
	if garbled == *token {
		garbled = "B" + (*token)[1:]
	}
	elsewhere := newClient(ecrtest.Start(t, reg))
	tagged := &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged}
	for what, use := range map[string]func() error{
		"empty":             func() error { _, err := images(name, nil, aws.String("")); return err },
		"garbled":           func() error { _, err := images(name, nil, &garbled); return err },
		"cut":               func() error { _, err := images(name, nil, aws.String((*token)[:20])); return err },
		"an offset":         func() error { _, err := images(name, nil, aws.String("NQ==")); return err },
		"no base64":         func() error { _, err := images(name, nil, aws.String("???")); return err },
		"of a repository":   func() error { _, err := images("other", nil, token); return err },
		"of another filter": func() error { _, err := images(name, tagged, token); return err },
		"of an operation": func() error {
			_, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{NextToken: token})
			return err
		},
		"of another server": func() error {
			_, err := elsewhere.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String(name), NextToken: token})
			return err
		},
	} {
		if _, ok := errors.AsType[*types.InvalidParameterException](use()); !ok {
			t.Errorf("token %s: %v", what, use())
		}
	}
	// The page size is not among the parameters that a token is bound to.
	if out, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String(name), NextToken: token}); err != nil || len(out.ImageDetails) != 5 {
		t.Errorf("with another page size: %v, %v", out, err)
	}
	requests := srv.Requests()
	if got := requests[len(requests)-1]; got.NextToken != *token || got.MaxResults != 0 || got.RepositoryName != name {
		t.Errorf("recorded %+v", got)
	}
}

func TestPageSizeOutOfRange(t *testing.T) {
	t.Parallel()
	_, _, client := start(t, "app")
	for _, size := range []int32{-1, 0, 1001} {
		for op, call := range map[string]func(context.Context) error{
			"images": func(ctx context.Context) error {
				_, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), MaxResults: &size})
				return err
			},
			"repositories": func(ctx context.Context) error {
				_, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{MaxResults: &size})
				return err
			},
		} {
			err := call(t.Context())
			if _, ok := errors.AsType[*types.InvalidParameterException](err); !ok || !strings.Contains(err.Error(), "'maxResults'") {
				t.Errorf("%s, page size %d: %v", op, size, err)
			}
		}
	}
}
