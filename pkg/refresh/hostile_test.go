package refresh_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// answer is a successful response of any text to the next n requests of an operation.
func (w *world) answer(operation string, n int, text string) {
	w.server.Fail(ecrtest.Match{Operation: operation}, n, ecrtest.Fault{Status: 200, Body: text})
}

// shown are the repositories and tags in the inventory.
func (w *world) shown() string {
	var list []string
	for _, repository := range w.known.Repositories {
		list = append(list, repository.Name+strings.Join(w.tags(repository.Name), "/"))
	}
	return strings.Join(list, " ")
}

// A response that says nothing keeps what is known, fails the run, and the next run makes
// up for it.
func TestNothingIsNoAnswer(t *testing.T) {
	t.Parallel()
	everything := `{"repositories":[{"repositoryArn":"x"}],"imageDetails":[{"imageTags":["v9"]}],"responses":[{}]}`
	for _, operation := range []string{"DescribeRepositories", "DescribeImages"} {
		for _, text := range []string{"", "{}", `{"repositories":null,"imageDetails":null}`, `{"layers":[]}`, everything, `{"repositories":[null],"imageDetails":[null]}`} {
			bubble(t, operation+text, func(t *testing.T) {
				w := newWorld(t, 3, 2)
				w.run(0)
				before := w.shown()
				time.Sleep(interval)
				w.answer(operation, ecrtest.Always, text)
				result := w.run(0)
				if result.Err == nil || !strings.Contains(result.Err.Error(), "incomplete response") || w.shown() != before {
					t.Errorf("error %v, known %s", result.Err, w.shown())
				}
				if operation == "DescribeRepositories" && result.Listed || operation == "DescribeImages" && (result.Failed != 3 || result.Refreshed != 0) {
					t.Errorf("%+v", result)
				}
				w.server.ClearFaults()
				w.put("repo-1", "new")
				if operation == "DescribeImages" {
					if result = w.run(0); result.Err != nil || !slices.Contains(w.tags("repo-1"), "new") {
						t.Errorf("error %v, known %s", result.Err, w.shown())
					}
				} else if result = w.run(0); result.Err != nil || !result.Listed {
					t.Errorf("error %v, %+v", result.Err, result)
				}
			})
		}
	}
	bubble(t, "one empty list of repositories", func(t *testing.T) {
		w := newWorld(t, 3, 2)
		w.run(0)
		before := w.shown()
		time.Sleep(interval)
		w.answer("DescribeRepositories", 1, `{"repositories":[]}`)
		if result := w.run(0); result.Err != nil || w.shown() != before {
			t.Errorf("error %v, known %s", result.Err, w.shown())
		}
		for i := range 3 {
			w.registry.DeleteRepository(fmt.Sprint("repo-", i))
		}
		time.Sleep(interval)
		if result := w.run(0); result.Err != nil || w.shown() != "" {
			t.Errorf("an empty registry: error %v, known %s", result.Err, w.shown())
		}
	})
	bubble(t, "records without createdAt, URI and registryId", func(t *testing.T) {
		w := newWorld(t, 2, 2)
		w.run(0)
		before, was := w.shown(), *w.known.Find("repo-0")
		time.Sleep(interval)
		w.answer("DescribeRepositories", 1, `{"repositories":[{"repositoryName":"repo-0","imageTagMutability":"IMMUTABLE"},{"repositoryName":"repo-1","createdAt":null},{"repositoryName":"nameless-images"}]}`)
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, ecrtest.Always, ecrtest.FaultServer)
		w.run(0)
		now := *w.known.Find("repo-0")
		if w.shown() != before || now.CreatedAt != was.CreatedAt || now.URI != was.URI || now.RegistryID != was.RegistryID || now.TagMutability != "IMMUTABLE" {
			t.Errorf("known %s: %+v", w.shown(), now)
		}
		if !strings.Contains(w.log.String(), "repository left out: its record has no URI\" repository=nameless-images") {
			t.Errorf("log:\n%s", &w.log)
		}
	})
	bubble(t, "records of several registries, or of another one", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		before, account := w.shown(), w.known.ID
		record := func(name, account string) string {
			return fmt.Sprintf(`{"repositoryName":%q,"repositoryUri":"uri","registryId":%q}`, name, account)
		}
		for text, want := range map[string]string{
			record("repo-0", account) + "," + record("repo-1", "210987654321"):        "the records are of several registries",
			record("repo-0", "210987654321") + "," + record("repo-1", "210987654321"): "the inventory is of the registry of account " + account,
		} {
			time.Sleep(interval)
			w.answer("DescribeRepositories", 1, `{"repositories":[`+text+`]}`)
			if result := w.run(0); result.Err == nil || !strings.Contains(result.Err.Error(), want) || w.shown() != before {
				t.Errorf("error %v, known %s", result.Err, w.shown())
			}
		}
	})
	bubble(t, "no record has a URI", func(t *testing.T) {
		w := newWorld(t, 2, 2)
		w.run(0)
		before := w.shown()
		time.Sleep(interval)
		w.answer("DescribeRepositories", 1, `{"repositories":[{"repositoryName":"a"},{"repositoryName":"b"}]}`)
		if result := w.run(0); result.Err == nil || w.shown() != before {
			t.Errorf("error %v, known %s", result.Err, w.shown())
		}
	})
	bubble(t, "createdAt is learned later", func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.answer("DescribeRepositories", 1, `{"repositories":[{"repositoryName":"repo-0","repositoryUri":"`+w.registry.URI("repo-0")+`","registryId":"123456789012"}]}`)
		w.run(0)
		before := w.shown()
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, ecrtest.Always, ecrtest.FaultServer)
		w.run(0)
		if w.shown() != before || w.known.Find("repo-0").CreatedAt.IsZero() {
			t.Errorf("known %s: %+v", w.shown(), w.known.Find("repo-0"))
		}
	})
	bubble(t, "an event's repository is not in the response", func(t *testing.T) {
		w := newWorld(t, 2, 2)
		w.run(0)
		before := w.shown()
		for _, text := range []string{"", "{}", `{"repositories":[]}`, `{"repositories":[{"repositoryName":"other"}]}`} {
			time.Sleep(time.Minute)
			w.answer("DescribeRepositories", 1, text)
			result := w.refresher.Apply(t.Context(), w.known, []refresh.Event{{Repository: "repo-0", At: time.Now(), Settings: true}}, time.Now())
			if result.Err == nil || w.shown() != before {
				t.Errorf("%q: error %v, known %s", text, result.Err, w.shown())
			}
		}
	})
	bubble(t, "the scanning configuration", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.enhanced()
		w.scanning(refresh.ScanAuto)
		w.run(0)
		time.Sleep(interval)
		w.answer("GetRegistryScanningConfiguration", 1, "{}")
		if result := w.run(0); result.Err == nil || w.known.ScanSource != inventory.ScansFromInspector {
			t.Errorf("error %v, source %s", result.Err, w.known.ScanSource)
		}
	})
}

// What one response does to the decoder or to memory fails one repository.
func TestHostileImages(t *testing.T) {
	t.Parallel()
	image := func(name, fields string) string {
		return `{"imageDigest":"` + ecrtest.Digest(name) + `","imageTags":["` + name + `"]` + fields + `}`
	}
	for name, c := range map[string]struct {
		pages []string // the last one is repeated
		want  string
		calls int // for the repository
	}{
		"a cycle of tokens": {[]string{
			`{"imageDetails":[` + image("a", "") + `],"nextToken":"A"}`, `{"imageDetails":[` + image("b", "") + `],"nextToken":"B"}`,
			`{"imageDetails":[` + image("c", "") + `],"nextToken":"A"}`, `{"imageDetails":[` + image("d", "") + `],"nextToken":"B"}`,
		}, "token of an earlier page", 4},
		"its own token":             {[]string{`{"imageDetails":[],"nextToken":"A"}`}, "token of an earlier page", 2},
		"an endless string":         {[]string{`{"imageDetails":[{"imageDigest":"` + strings.Repeat("x", 7<<20)}, "response too large: more than 4000000 bytes", 2},
		"an endless string in JSON": {[]string{`{"imageDetails":[` + image("a", `,"artifactMediaType":"`+strings.Repeat("x", 7<<20)+`"`) + `]}`}, "response too large", 2},
		"a million records":         {[]string{`{"imageDetails":[{}` + strings.Repeat(",{}", 1_000_000) + `]}`}, "response too large", 2},
		"a million tags":            {[]string{`{"imageDetails":[{"imageTags":[""` + strings.Repeat(`,""`, 1_000_000) + `]}]}`}, "response too large", 2},
		"a long error":              {[]string{"error"}, "bytes)", 1},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, 3, 2)
			w.run(0)
			before := w.shown()
			time.Sleep(interval)
			w.server.ResetObserved()
			for i, text := range c.pages {
				n := 1
				if i+1 == len(c.pages) {
					n = ecrtest.Always
				}
				fault := ecrtest.Fault{Status: 200, Body: text}
				if text == "error" {
					fault = ecrtest.Fault{Status: 400, Code: "InvalidParameterException", Message: "\x1b[31m" + strings.Repeat("y", 1<<19)}
				}
				w.server.Fail(ecrtest.Match{Operation: "DescribeImages", RepositoryName: "repo-1"}, n, fault)
			}
			result := w.run(0)
			w.want(result, refresh.Result{Listed: true, Due: 3, Refreshed: 2, Failed: 1}, c.want)
			if text := fmt.Sprint(result.Err); w.shown() != before || strings.Contains(text, "\x1b") || len(text) > 2000 {
				t.Errorf("known %s, error of %d bytes", w.shown(), len(text))
			}
			if n := w.server.Calls()["DescribeImages"] - 2; n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
	bubble(t, "NaN and its like", func(t *testing.T) {
		w := newWorld(t, 2, 2)
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages", RepositoryName: "repo-1"}, 1,
			ecrtest.Fault{Body: `{"imageDetails":[` + image("a", `,"imagePushedAt":"NaN","imageSizeInBytes":-1`) + "," + image("b", "") + `]}`})
		result := w.run(0)
		w.want(result, refresh.Result{Listed: true, Due: 2, Refreshed: 2, Invalid: 2}, "")
		if got := strings.Join(w.tags("repo-1"), ""); got != "ab" || strings.Count(w.log.String(), "values that cannot be true were left out\" count=2") != 1 {
			t.Errorf("tags %s, log:\n%s", got, &w.log)
		}
	})
}

// A page that is too large with 1,000 images is read with fewer.
func TestLargePages(t *testing.T) {
	bubble(t, "a thousand tags", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		var tags []string
		for i := range 1000 {
			tags = append(tags, fmt.Sprintf("%0100d", i))
		}
		for i := range 70 {
			digest := ecrtest.Digest(fmt.Sprint(i))
			own := slices.Clone(tags)
			for j := range own {
				own[j] = fmt.Sprint("i", i, "-", own[j])
			}
			w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: digest, Tags: own}))
		}
		w.want(w.run(0), refresh.Result{Listed: true, Due: 1, Refreshed: 1}, "")
		if n := len(w.known.Find("repo-0").Images); n != 70 || len(w.tags("repo-0")) != 70_000 {
			t.Errorf("%d images, %d tags", n, len(w.tags("repo-0")))
		}
	})
}

// Events about very many repositories need one listing, and a few lines of log.
func TestManySettings(t *testing.T) {
	bubble(t, "one listing", func(t *testing.T) {
		w := newWorld(t, 100, 0)
		w.run(0)
		time.Sleep(time.Minute)
		w.server.ResetObserved()
		var events []refresh.Event
		for i := range 5000 {
			events = append(events, refresh.Event{Repository: fmt.Sprint("repo-", i), At: time.Now(), Settings: true})
		}
		result := w.refresher.Apply(t.Context(), w.known, events, time.Now())
		if calls := w.server.Calls(); result.Err != nil || !result.Listed || calls["DescribeRepositories"] != 1 {
			t.Errorf("error %v, calls %v", result.Err, calls)
		}
		w.server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		w.log.Reset()
		result = w.refresher.Apply(t.Context(), w.known, events[:20], time.Now().Add(time.Minute))
		if n := strings.Count(w.log.String(), "\n"); result.Err == nil || n > 6 {
			t.Errorf("error %v, %d lines:\n%.2000s", result.Err, n, &w.log)
		}
	})
}

// Lists of Inspector that say nothing keep the known counts.
func TestHostileInspector(t *testing.T) {
	t.Parallel()
	row := func(counts string) string {
		return `{"aggregationType":"AWS_ECR_CONTAINER","responses":[{"awsEcrContainerAggregation":{"repository":"repo-0","imageSha":"` + ecrtest.Digest("repo-0v0") + `","severityCounts":{` + counts + `}}}]}`
	}
	for name, c := range map[string]struct {
		operation string
		pages     []string
		fails     bool
		invalid   int
	}{
		"no aggregations":       {"ListFindingAggregations", []string{"{}"}, true, 0},
		"null aggregations":     {"ListFindingAggregations", []string{`{"aggregationType":"AWS_ECR_CONTAINER","responses":null}`}, true, 0},
		"no coverage":           {"ListCoverage", []string{""}, true, 0},
		"a cycle of coverage":   {"ListCoverage", []string{`{"coveredResources":[],"nextToken":"A"}`, `{"coveredResources":[],"nextToken":"B"}`, `{"coveredResources":[],"nextToken":"A"}`, `{"coveredResources":[],"nextToken":"B"}`}, true, 0},
		"a row without counts":  {"ListFindingAggregations", []string{row(``)}, false, 0},
		"a row with null":       {"ListFindingAggregations", []string{row(`"all":null,"critical":null`)}, false, 0},
		"a row with a negative": {"ListFindingAggregations", []string{row(`"all":5,"critical":-1`)}, false, 1},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.enhanced()
			w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "CRITICAL", 3))
			w.scanning(refresh.ScanAuto)
			w.run(0)
			w.run(0)
			before := w.knownScan("repo-0", "v0")
			if !strings.Contains(before, "3") {
				t.Fatalf("scan %s", before)
			}
			time.Sleep(7 * time.Hour)
			for _, text := range c.pages {
				w.answer(c.operation, 1, text)
			}
			w.server.Fail(ecrtest.Match{Operation: findings}, ecrtest.Always, ecrtest.FaultServer)
			result := w.run(0)
			got := w.knownScan("repo-0", "v0")
			if strings.TrimSuffix(got, " …") != before || c.fails && (result.Err == nil || result.Scans.Listed) || result.Invalid != c.invalid {
				t.Errorf("scan %s, before %s; error %v, %+v", got, before, result.Err, result)
			}
		})
	}
	bubble(t, "images that are not known are left out", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.enhanced()
		w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "CRITICAL", 3))
		w.scanning(refresh.ScanAuto)
		w.answer("ListCoverage", 1, `{"coveredResources":[{"resourceId":"arn:aws:ecr:eu-west-1:123456789012:repository/unknown/`+ecrtest.Digest("x")+`","resourceType":"AWS_ECR_CONTAINER_IMAGE","scanStatus":{"statusCode":"ACTIVE","reason":"SUCCESSFUL"}}]}`)
		if result := w.run(0); result.Err != nil || !result.Scans.Listed || w.known.Find("unknown") != nil {
			t.Errorf("%+v", result)
		}
	})
}
