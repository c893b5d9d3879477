package refresh_test

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

var everyDetail = refresh.DetailOptions{Registry: true, LifecyclePolicies: true, Tags: true}

// detailing makes a refresher that reads details, at a rate of calls a second.
func (w *world) detailing(details refresh.DetailOptions, perSecond float64) {
	client := ecr.New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(w.server.URL()), HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, ecr.Options{Limiter: awsapi.NewLimiter(perSecond)})
	w.refresher = refresh.New(client, w.selecting(refresh.Options{Interval: interval, Concurrency: 4, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Details: details}))
}

// policied gives every repository a lifecycle policy and a tag.
func (w *world) policied() {
	w.Helper()
	for _, repository := range w.registry.Repositories() {
		repository.LifecyclePolicy, repository.Tags = "{}", map[string]string{"team": repository.Name}
		w.check(w.registry.PutRepository(repository))
	}
}

// detailed counts the repositories whose lifecycle policy and tags are known.
func (w *world) detailed() (policies, tags int) {
	for _, repository := range w.known.Repositories {
		if d := repository.Details; d != nil {
			if d.LifecyclePolicy && !d.LifecycleReadAt.IsZero() {
				policies++
			}
			if d.Tag("team") == repository.Name {
				tags++
			}
		}
	}
	return policies, tags
}

const (
	policyCall, tagsCall, rulesCall, quotasCall, scanTypeCall = "GetLifecyclePolicy", "ListTagsForResource", "DescribePullThroughCacheRules", "ListServiceQuotas", "GetRegistryScanningConfiguration"
)

func TestDetails(t *testing.T) {
	t.Parallel()
	bubble(t, "only what is asked for, once a refresh", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.policied()
		for _, c := range []struct {
			details refresh.DetailOptions
			want    map[string]int
		}{
			{refresh.DetailOptions{}, map[string]int{}},
			{refresh.DetailOptions{Registry: true}, map[string]int{rulesCall: 1, "DescribeRegistry": 1, quotasCall: 1, scanTypeCall: 1}},
			{refresh.DetailOptions{LifecyclePolicies: true}, map[string]int{policyCall: 3}},
			{refresh.DetailOptions{Tags: true}, map[string]int{tagsCall: 3}},
		} {
			w.known = &inventory.Registry{}
			w.detailing(c.details, 1000)
			w.server.ResetObserved()
			for range 3 {
				w.check(w.run(0).Err)
				time.Sleep(time.Minute)
			}
			calls := w.server.Calls()
			delete(calls, "DescribeRepositories")
			delete(calls, "DescribeImages")
			if !maps.Equal(calls, c.want) {
				t.Errorf("%+v: calls %v, want %v", c.details, calls, c.want)
			}
			time.Sleep(interval)
			w.server.ResetObserved()
			w.check(w.run(0).Err)
			for operation, n := range c.want {
				if again := w.server.Calls()[operation]; again != n {
					t.Errorf("%+v: %d calls of %s in the next refresh, want %d", c.details, again, operation, n)
				}
			}
		}
	})
	bubble(t, "what changes is seen by the next refresh", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.policied()
		w.detailing(everyDetail, 1000)
		w.check(w.run(0).Err)
		if policies, tags := w.detailed(); policies != 2 || tags != 2 || w.known.ScanType != "BASIC" || w.known.Details.MaxRepositories != 100_000 {
			t.Errorf("%d policies, %d tags, %q, %+v", policies, tags, w.known.ScanType, w.known.Details)
		}
		repository, _ := w.registry.Repository("repo-0")
		repository.LifecyclePolicy, repository.Tags = "", nil
		w.check(w.registry.PutRepository(repository))
		w.check(w.registry.SetCacheRules(ecrtest.CacheRule{Prefix: "hub"}))
		w.registry.SetQuota("L-CFEB8E8D", 7)
		w.enhanced()
		time.Sleep(interval)
		w.check(w.run(0).Err)
		if policies, tags := w.detailed(); policies != 1 || tags != 1 || w.known.ScanType != "ENHANCED" || w.known.Details.MaxRepositories != 7 || len(w.known.Details.CacheRules) != 1 {
			t.Errorf("%d policies, %d tags, %q, %+v", policies, tags, w.known.ScanType, w.known.Details)
		}
	})
	bubble(t, "a quarter of the time, and the next run continues", func(t *testing.T) {
		w := newWorld(t, 300, 0)
		w.policied()
		w.detailing(refresh.DetailOptions{LifecyclePolicies: true}, 10)
		var known []int
		for range 4 {
			w.check(w.run(time.Minute).Err)
			policies, _ := w.detailed()
			known = append(known, policies)
		}
		// The lists take 30 s of the first run, and a second's worth of calls is saved up. Two
		// runs are cut short: a call that is on its way then is made again by the next.
		if calls := w.server.Calls()[policyCall]; known[0] < 70 || known[0] > 90 || known[1] < 200 || known[1] > 260 || known[3] != 300 || calls < 300 || calls > 302 {
			t.Errorf("%v policies in %d calls", known, calls)
		}
	})
	bubble(t, "what fails stays as it is known, with one warning", func(t *testing.T) {
		w := newWorld(t, 6, 1)
		w.policied()
		w.detailing(everyDetail, 1000)
		w.check(w.run(0).Err)
		known := w.known.Details
		time.Sleep(interval)
		for _, operation := range []string{policyCall, tagsCall, rulesCall} {
			w.server.Fail(ecrtest.Match{Operation: operation}, ecrtest.Always, body200("{}"))
		}
		if result := w.run(0); result.Err != nil || result.Failed > 0 {
			t.Errorf("%+v, error %v", result, result.Err)
		}
		if policies, tags := w.detailed(); policies != 6 || tags != 6 || w.known.Details.ReadAt != known.ReadAt {
			t.Errorf("%d policies, %d tags, %+v", policies, tags, w.known.Details)
		}
		if n := strings.Count(w.log.String(), "level=WARN"); n != 3 || strings.Count(w.log.String(), "repositories=6") != 2 {
			t.Errorf("%d warnings:\n%s", n, &w.log)
		}
		calls := w.server.Calls()[policyCall]
		w.log.Reset()
		w.check(w.run(0).Err)
		if again := w.server.Calls()[policyCall]; again != calls || w.log.Len() > 0 {
			t.Errorf("%d calls at once:\n%s", again-calls, &w.log)
		}
		w.server.ClearFaults()
		time.Sleep(10 * time.Minute)
		w.check(w.run(0).Err)
		if again := w.server.Calls()[policyCall]; again != calls+6 {
			t.Errorf("%d calls after ten minutes, want 6", again-calls)
		}
	})
	bubble(t, "a missing permission is asked for three times an interval", func(t *testing.T) {
		w := newWorld(t, 20, 1)
		w.policied()
		w.deny(`"Action":["ecr:GetLifecyclePolicy","servicequotas:*"],"Resource":"*"`)
		w.detailing(everyDetail, 1000)
		for range 5 {
			w.check(w.run(0).Err)
			time.Sleep(2 * time.Minute)
		}
		if n := w.server.Calls()[policyCall]; n < 3 || n > 3+4 {
			t.Errorf("%d calls", n)
		}
		if n := w.server.Calls()[quotasCall]; n != 1 {
			t.Errorf("%d calls for quotas", n)
		}
		if policies, tags := w.detailed(); policies != 0 || tags != 20 || w.known.Details == nil || w.known.Details.MaxImages != 0 {
			t.Errorf("%d policies, %d tags, %+v", policies, tags, w.known.Details)
		}
		if n := strings.Count(w.log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings:\n%s", n, &w.log)
		}
		w.server.SetPolicy(nil)
		time.Sleep(interval)
		w.check(w.run(0).Err)
		if policies, _ := w.detailed(); policies != 20 {
			t.Errorf("%d policies with the permission", policies)
		}
	})
	bubble(t, "one repository denied", func(t *testing.T) {
		w := newWorld(t, 5, 1)
		w.policied()
		w.deny(fmt.Sprintf(`"Action":"ecr:ListTagsForResource","Resource":%q`, w.registry.ARN("repo-2")))
		w.detailing(refresh.DetailOptions{Tags: true}, 1000)
		w.check(w.run(0).Err)
		if _, tags := w.detailed(); tags != 4 {
			t.Errorf("%d tags", tags)
		}
	})
}

// deny takes a permission away, given as the members of a statement.
func (w *world) deny(statement string) {
	w.Helper()
	policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny",` + statement + `}]}`))
	w.check(err)
	w.server.SetPolicy(policy)
}

// body200 is a successful response.
func body200(text string) ecrtest.Fault { return ecrtest.Fault{Status: 200, Body: text} }
