package ecr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// body is a successful response.
func body(text string) ecrtest.Fault { return ecrtest.Fault{Status: 200, Body: text} }

// A response that says nothing about what exists is an error, and not an empty registry, a
// repository without images, or one that is gone.
func TestIncompleteResponses(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*testing.T, *ecr.Client) error{
		"DescribeRepositories": func(t *testing.T, c *ecr.Client) error { _, err := c.Repositories(t.Context()); return err },
		"DescribeRepositories of one": func(t *testing.T, c *ecr.Client) error {
			_, err := c.Repository(t.Context(), "app")
			return err
		},
		"DescribeImages": func(t *testing.T, c *ecr.Client) error { _, err := all(t.Context(), c, "app"); return err },
		"DescribeImageScanFindings": func(t *testing.T, c *ecr.Client) error {
			_, err := c.Scan(t.Context(), "app", digest(t, "0"))
			return err
		},
		"DescribePullThroughCacheRules":       func(t *testing.T, c *ecr.Client) error { _, err := c.Details(t.Context(), nil); return err },
		"DescribeRegistry of its replication": func(t *testing.T, c *ecr.Client) error { _, err := c.Details(t.Context(), nil); return err },
		"ListServiceQuotas":                   func(t *testing.T, c *ecr.Client) error { _, err := c.Details(t.Context(), nil); return err },
		"ListTagsForResource": func(t *testing.T, c *ecr.Client) error {
			_, err := c.Tags(t.Context(), "arn:aws:ecr:"+region+":"+account+":repository/app")
			return err
		},
		"GetLifecyclePolicy":               func(t *testing.T, c *ecr.Client) error { _, err := c.LifecyclePolicy(t.Context(), "app"); return err },
		"DescribeRegistry":                 func(t *testing.T, c *ecr.Client) error { _, err := c.RegistryID(t.Context()); return err },
		"GetRegistryScanningConfiguration": func(t *testing.T, c *ecr.Client) error { _, _, err := c.ScanType(t.Context()); return err },
	}
	everywhere := map[string]string{
		"nothing":                     "",
		"no member":                   "{}",
		"another operation's members": `{"layers":[],"failures":[{"failureCode":"x"}]}`,
		"null":                        `{"repositories":null,"imageDetails":null,"imageScanStatus":null,"registryId":null,"scanningConfiguration":null}`,
	}
	for operation, call := range calls {
		bodies := map[string]string{}
		for name, text := range everywhere {
			bodies[name] = text
		}
		switch operation {
		case "DescribeRepositories":
			bodies["the images"] = `{"imageDetails":[{"imageDigest":"` + ecrtest.Digest("0") + `"}]}`
			bodies["a record without a name"] = `{"repositories":[{"repositoryName":"app"},{"repositoryArn":"arn"}]}`
			bodies["a null record"] = `{"repositories":[null]}`
		case "DescribeRepositories of one":
			bodies["an empty list"] = `{"repositories":[]}`
			bodies["another repository"] = `{"repositories":[{"repositoryName":"other"}]}`
		case "DescribeImages":
			bodies["the repositories"] = `{"repositories":[{"repositoryName":"app"}]}`
			bodies["a record without a digest"] = `{"imageDetails":[{"imageDigest":"` + ecrtest.Digest("0") + `"},{"imageTags":["v1"]}]}`
			bodies["a null record"] = `{"imageDetails":[null]}`
			bodies["a record with half a digest"] = `{"imageDetails":[{"imageDigest":"sha256:00"}]}`
			bodies["another repository's images"] = `{"imageDetails":[{"imageDigest":"` + ecrtest.Digest("0") + `","repositoryName":"other"}]}`
		case "DescribeImageScanFindings":
			bodies["a status without a text"] = `{"imageScanStatus":{},"imageScanFindings":{"findingSeverityCounts":{}}}`
			bodies["another image"] = `{"imageScanStatus":{"status":"COMPLETE"},"imageId":{"imageDigest":"` + ecrtest.Digest("1") + `"}}`
		}
		for name, text := range bodies {
			t.Run(operation+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					_, server := start(t, 2)
					called, _, _ := strings.Cut(operation, " ")
					server.Fail(ecrtest.Match{Operation: called}, ecrtest.Always, body(text))
					err := call(t, newClient(server, ecr.Options{}))
					if !errors.Is(err, awsapi.ErrIncomplete) || errors.Is(err, awsapi.ErrGone) {
						t.Errorf("error %v, want one that says that the response is incomplete", err)
					}
				})
			})
		}
	}
}

// An empty list with a token goes on, and a listing that cannot end fails.
func TestPageTokens(t *testing.T) {
	t.Parallel()
	record := func(name string) string {
		return `{"repositoryName":"` + name + `","repositoryUri":"uri/` + name + `"}`
	}
	for _, c := range []struct {
		name  string
		pages []string // the last one is repeated
		want  string   // names, or part of the error
		calls int
	}{
		{"an empty page", []string{`{"repositories":[],"nextToken":"a"}`, `{"repositories":[` + record("b") + `]}`}, "b", 2},
		{"an empty token is none", []string{`{"repositories":[` + record("a") + `],"nextToken":""}`}, "a", 1},
		{"its own token", []string{`{"repositories":[` + record("a") + `],"nextToken":"a"}`, `{"repositories":[` + record("b") + `],"nextToken":"a"}`}, "token of an earlier page", 2},
		{"a cycle of empty pages", []string{`{"repositories":[],"nextToken":"a"}`, `{"repositories":[],"nextToken":"b"}`, `{"repositories":[],"nextToken":"a"}`, `{"repositories":[],"nextToken":"b"}`}, "token of an earlier page", 4},
		{"the first page again, with another token", []string{`{"repositories":[` + record("a") + `],"nextToken":"a"}`, `{"repositories":[` + record("b") + `],"nextToken":"b"}`, `{"repositories":[` + record("a") + `],"nextToken":"c"}`}, "begins with the first record", 3},
		{"a page without a list", []string{`{"repositories":[` + record("a") + `],"nextToken":"a"}`, `{"nextToken":"b"}`}, "no list of repositories", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t, 0)
				for i, page := range c.pages {
					n := 1
					if i+1 == len(c.pages) {
						n = ecrtest.Always
					}
					server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, n, body(page))
				}
				list, err := newClient(server, ecr.Options{}).Repositories(t.Context())
				got := ""
				if err != nil {
					got = err.Error()
				}
				for _, repository := range list {
					got += repository.Name
				}
				if !strings.Contains(got, c.want) || strings.Contains(c.want, " ") != errors.Is(err, awsapi.ErrIncomplete) {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if n := server.Calls()["DescribeRepositories"]; n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

// A value that cannot be true is counted and unknown, and the rest of its record and of its
// page is used.
func TestInvalidValues(t *testing.T) {
	t.Parallel()
	const pushed = 1_700_000_000
	good := inventory.Image{Digest: digest(t, "0"), Tags: []string{"v1"}, SizeBytes: 5, PushedAt: inventory.TimeOf(time.Unix(pushed, 0))}
	with := func(change func(*inventory.Image)) inventory.Image {
		image := good
		change(&image)
		return image
	}
	noTime := with(func(i *inventory.Image) { i.PushedAt = 0 })
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name, fields string // fields replace those of the image
		want         inventory.Image
		invalid      string
	}{
		{"NaN", `"imagePushedAt":"NaN"`, noTime, "imagePushedAt "},
		{"milliseconds", `"imagePushedAt":1700000000000`, noTime, "imagePushedAt "},
		{"a time beyond floats", `"imagePushedAt":1e400`, noTime, "imagePushedAt "},
		{"infinity", `"imagePushedAt":"Infinity"`, noTime, "imagePushedAt "},
		{"a time before 1970", `"imagePushedAt":-5`, noTime, "imagePushedAt "},
		{"no time", `"imagePushedAt":null`, noTime, ""},
		{"a negative size", `"imageSizeInBytes":-5`, with(func(i *inventory.Image) { i.SizeBytes = -1 }), "imageSizeInBytes \"-5\""},
		{"no size", `"imageSizeInBytes":null`, with(func(i *inventory.Image) { i.SizeBytes = -1 }), ""},
		{"a long tag", `"imageTags":["v1","` + long + `"]`, good, "imageTags"},
		{"a null tag", `"imageTags":[null,"v1"]`, good, ""},
		{"invalid UTF-8", "\"imageTags\":[\"a\xff\",\"v1\"]", with(func(i *inventory.Image) { i.Tags = []string{"a\uFFFD", "v1"} }), ""},
		{"a long status", `"imageStatus":"` + long + `"`, good, "imageStatus"},
		{"a null count", `"imageScanFindingsSummary":{"findingSeverityCounts":{"HIGH":null,"LOW":1}}`, with(func(i *inventory.Image) {
			i.Scan = &inventory.Scan{Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("LOW"), Count: 1}})}
		}), "findings of severity HIGH"},
		{"a count above 32 bits", `"imageScanFindingsSummary":{"findingSeverityCounts":{"HIGH":5000000000}}`, with(func(i *inventory.Image) {
			i.Scan = &inventory.Scan{Severities: inventory.CountsOf(inventory.Severities{})}
		}), "findings of severity HIGH"},
		{"a scan in the far future", `"imageScanFindingsSummary":{"imageScanCompletedAt":1e30,"findingSeverityCounts":{}}`, with(func(i *inventory.Image) {
			i.Scan = &inventory.Scan{Severities: inventory.CountsOf(inventory.Severities{})}
		}), "imageScanCompletedAt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t, 0)
				record := func(name, fields string) string {
					text := `{"imageDigest":"` + ecrtest.Digest(name) + `"`
					for field, value := range map[string]string{"imagePushedAt": "1700000000", "imageTags": `["v1"]`, "imageSizeInBytes": "5"} {
						if !strings.Contains(fields, field) {
							text += `,"` + field + `":` + value
						}
					}
					return text + strings.TrimSuffix(","+fields, ",") + "}"
				}
				server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 1, body(`{"imageDetails":[`+record("0", c.fields)+","+record("1", "")+`]}`))
				client := newClient(server, ecr.Options{})
				images, err := all(t.Context(), client, "app")
				check(t, err)
				other := good
				other.Digest = digest(t, "1")
				if diff := cmp.Diff([]inventory.Image{c.want, other}, images); diff != "" {
					t.Errorf("images (-want +got):\n%s", diff)
				}
				n, first := client.TakeInvalid()
				if want := min(len(c.invalid), 1); n != want || n == 1 && (!strings.HasPrefix(first[0], c.invalid) || len(first[0]) > 1100) {
					t.Errorf("%d invalid %.300q, want %d: %q", n, first, want, c.invalid)
				}
			})
		})
	}
}

// A digest of another algorithm is of an image that is not known; the others are.
func TestOtherDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 0)
		server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 1, body(`{"imageDetails":[{"imageDigest":"sha512:00"},{"imageDigest":"`+ecrtest.Digest("0")+`"}]}`))
		client := newClient(server, ecr.Options{})
		images, err := all(t.Context(), client, "app")
		check(t, err)
		if n, _ := client.TakeInvalid(); len(images) != 1 || n != 1 {
			t.Errorf("images %v, %d invalid", images, n)
		}
	})
}

// severities are counts of n severities.
func severities(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"S%d":1`, i))
	}
	return strings.Join(list, ",")
}

// Counts that are null or absent are unknown, and not 0.
func TestScanWithoutCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		findings       string
		unfinished, of int
	}{
		{`{"findingSeverityCounts":{},"imageScanCompletedAt":946684000}`, 0, 0},
		{`{"imageScanCompletedAt":946684000}`, 1, 0},
		{`{"imageScanCompletedAt":946684000,"findingSeverityCounts":null}`, 1, 0},
		{`{"imageScanCompletedAt":946684000,"findingSeverityCounts":{"HIGH":null}}`, 1, 1},
		{`{"imageScanCompletedAt":946684000,"findingSeverityCounts":{"HIGH":-1,"LOW":2}}`, 1, 1},
		{`{"imageScanCompletedAt":946684000,"findingSeverityCounts":{` + strings.Repeat(`"HIGH":1,`, 100) + `"LOW":1}}`, 0, 0}, // two severities
		{`{"imageScanCompletedAt":946684000,"findingSeverityCounts":{` + severities(10_000) + `}}`, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, server := start(t, 1)
			server.Fail(ecrtest.Match{Operation: "DescribeImageScanFindings"}, 1, body(`{"imageScanStatus":{"status":"COMPLETE"},"imageScanFindings":`+c.findings+`}`))
			client := newClient(server, ecr.Options{})
			scan := scanOf(t, client)
			if n, _ := client.TakeInvalid(); int(scan.Unfinished) != c.unfinished || n != c.of {
				t.Errorf("%.100s: %+v, %d invalid", c.findings, scan, n)
			}
		})
	}
}
