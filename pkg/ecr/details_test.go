package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// detailed serves a registry with everything that Details, LifecyclePolicy and Tags read.
func detailed(t *testing.T) (*ecrtest.Registry, *ecrtest.Server) {
	t.Helper()
	registry, server := start(t, 0)
	check(t, registry.PutRepository(ecrtest.Repository{Name: "team/app", LifecyclePolicy: `{"rules":[]}`, Tags: map[string]string{"team": "red", "Cost Center": "1", "empty": ""}}))
	check(t, registry.SetCacheRules(ecrtest.CacheRule{Prefix: "quay", Upstream: "quay", URL: "quay.io"}, ecrtest.CacheRule{Prefix: "hub", Upstream: "docker-hub", URL: "registry-1.docker.io"}))
	registry.SetReplication(
		ecrtest.ReplicationRule{Prefixes: []string{"b", "a"}, Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-3", RegistryID: account}, {Region: "eu-west-2", RegistryID: "444455556666"}}},
		ecrtest.ReplicationRule{Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-2", RegistryID: "444455556666"}}},
		ecrtest.ReplicationRule{Prefixes: []string{"a", "b"}, Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-3", RegistryID: account}}},
	)
	registry.SetQuota("L-CFEB8E8D", 150_000)
	return registry, server
}

func TestDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := detailed(t)
		client := newClient(server, ecr.Options{})
		got, err := client.Details(t.Context(), nil)
		check(t, err)
		want := &inventory.RegistryDetails{
			CacheRules: []inventory.CacheRule{{Prefix: "hub", Upstream: "docker-hub", URL: "registry-1.docker.io"}, {Prefix: "quay", Upstream: "quay", URL: "quay.io"}},
			Replication: []inventory.ReplicationDestination{
				{Region: "eu-west-2", RegistryID: "444455556666", Prefixes: ""}, {Region: "eu-west-2", RegistryID: "444455556666", Prefixes: "a,b"}, {Region: "eu-west-3", RegistryID: account, Prefixes: "a,b"},
			},
			MaxRepositories: 150_000, MaxImages: 100_000,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if calls := server.Calls(); calls["DescribePullThroughCacheRules"] != 1 || calls["DescribeRegistry"] != 1 || calls["ListServiceQuotas"] != 1 {
			t.Errorf("calls %v", calls)
		}
		// What fails keeps what is known, and nothing else does.
		for _, operation := range []string{"DescribePullThroughCacheRules", "DescribeRegistry", "ListServiceQuotas"} {
			check(t, registry.SetCacheRules())
			server.Fail(ecrtest.Match{Operation: operation}, ecrtest.Always, body("{}"))
			again, err := client.Details(t.Context(), want)
			if !errors.Is(err, awsapi.ErrIncomplete) || (len(again.CacheRules) > 0) != (operation == "DescribePullThroughCacheRules") || len(again.Replication) != 3 || again.MaxRepositories != 150_000 {
				t.Errorf("%s: %+v, error %v", operation, again, err)
			}
			server.ClearFaults()
		}
		if len(want.CacheRules) != 2 {
			t.Error("the known details were changed")
		}
		// Many rules take several pages.
		var many []ecrtest.CacheRule
		for i := range 25 {
			many = append(many, ecrtest.CacheRule{Prefix: fmt.Sprintf("p%02d", i)})
		}
		check(t, registry.SetCacheRules(many...))
		server.SetPageLimit("DescribePullThroughCacheRules", 10)
		server.SetPageLimit("ListServiceQuotas", 1)
		if got, err = client.Details(t.Context(), nil); err != nil || len(got.CacheRules) != 25 || got.MaxImages != 100_000 {
			t.Errorf("%+v, error %v", got, err)
		}
		// A quota that cannot be true is none.
		registry.SetQuota("L-03A36CE1", -1)
		if got, err = client.Details(t.Context(), nil); err != nil || got.MaxImages != 0 {
			t.Errorf("%+v, error %v", got, err)
		}
		if n, first := client.TakeInvalid(); n != 1 || !strings.Contains(fmt.Sprint(first), "L-03A36CE1") {
			t.Errorf("%d invalid: %q", n, first)
		}
	})
}

// Of another account's registry the caller's replication and quotas say nothing.
func TestDetailsOfAnotherAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := detailed(t)
		other := ecrtest.NewRegistry("777788889999", region)
		check(t, other.SetCacheRules(ecrtest.CacheRule{Prefix: "theirs"}))
		server.AddRegistry(other)
		got, err := newClient(server, ecr.Options{RegistryID: "777788889999"}).Details(t.Context(), nil)
		check(t, err)
		if diff := cmp.Diff(&inventory.RegistryDetails{CacheRules: []inventory.CacheRule{{Prefix: "theirs"}}}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestDetailsOfRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := detailed(t)
		client := newClient(server, ecr.Options{})
		for name, want := range map[string]bool{"team/app": true, "app": false} {
			if got, err := client.LifecyclePolicy(t.Context(), name); got != want || err != nil {
				t.Errorf("%s: lifecycle policy %v, error %v", name, got, err)
			}
		}
		if _, err := client.LifecyclePolicy(t.Context(), "nothing"); !errors.Is(err, awsapi.ErrGone) || !strings.Contains(err.Error(), "lifecycle policy of repository nothing") {
			t.Errorf("error %v", err)
		}
		got, err := client.Tags(t.Context(), registry.ARN("team/app"))
		check(t, err)
		if diff := cmp.Diff([]inventory.ResourceTag{{Key: "Cost Center", Value: "1"}, {Key: "empty", Value: ""}, {Key: "team", Value: "red"}}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got, err = client.Tags(t.Context(), registry.ARN("app")); len(got) > 0 || err != nil {
			t.Errorf("%v, error %v", got, err)
		}
		if _, err = client.Tags(t.Context(), registry.ARN("nothing")); !errors.Is(err, awsapi.ErrGone) {
			t.Errorf("error %v", err)
		}
	})
}

// The declared permissions are sufficient and necessary.
func TestDetailPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := detailed(t)
		every := func(ctx context.Context) error {
			client := newClient(server, ecr.Options{})
			_, err1 := client.Details(ctx, nil)
			_, _, err2 := client.ScanType(ctx)
			_, err3 := client.Tags(ctx, registry.ARN("app"))
			_, err4 := client.LifecyclePolicy(ctx, "app")
			return errors.Join(err1, err2, err3, err4)
		}
		// Replication is read by a call that the role may always make.
		always := statements(ecr.Permissions)
		needed := statements(slices.Concat(ecr.RegistryPermissions, ecr.TagPermissions, ecr.LifecyclePermissions))
		allow(t, server, slices.Concat(always, needed)...)
		check(t, every(t.Context()))
		for i := range needed {
			allow(t, server, slices.Concat(always, without(needed, i))...)
			if err := every(t.Context()); !errors.Is(err, awsapi.ErrDenied) {
				t.Errorf("without %s: error %v", needed[i], err)
			}
		}
	})
}
