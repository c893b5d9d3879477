package metrics_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// A repository's tags are labels with names like those of kube-state-metrics.
func TestTagLabels(t *testing.T) {
	t.Parallel()
	keys := []string{"team", "Cost-Center", "costCenter", "cost_center", "aws:cloudformation/stack", "été"}
	slices.Sort(keys)
	shape := inventory.Shape{RepositoryTags: keys, Families: inventory.Filter{Include: "aws_ecr_repository_tags_info"}}
	repository := func(name string, details *inventory.RepositoryDetails) *inventory.Repository {
		return &inventory.Repository{Name: name, RegistryID: "1", Details: details}
	}
	r := &inventory.Registry{ListedAt: 1, Repositories: []*inventory.Repository{
		repository("a", &inventory.RepositoryDetails{TagsReadAt: 1, Tags: []inventory.ResourceTag{
			{Key: "Cost-Center", Value: "1"}, {Key: "aws:cloudformation/stack", Value: `x"y`}, {Key: "costCenter", Value: "2"}, {Key: "secret", Value: "not asked for"}, {Key: "team", Value: "red"}, {Key: "été", Value: "3"},
		}}),
		repository("b", &inventory.RepositoryDetails{TagsReadAt: 1}), // without tags
		repository("c", &inventory.RepositoryDetails{LifecycleReadAt: 1}),
		repository("d", nil),
	}}
	want := []string{
		`aws_ecr_repository_tags_info{name="a",registry_id="1",tag__t_="3",tag_aws_cloudformation_stack="x\"y",tag_cost_center_conflict1="1",tag_cost_center_conflict2="2",tag_cost_center_conflict3="",tag_team="red"} 1`,
		`aws_ecr_repository_tags_info{name="b",registry_id="1",tag__t_="",tag_aws_cloudformation_stack="",tag_cost_center_conflict1="",tag_cost_center_conflict2="",tag_cost_center_conflict3="",tag_team=""} 1`,
	}
	if diff := cmp.Diff(want, samples(text(t, table(shape).All(r, metrics.Options{})))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := count(table(inventory.Shape{Families: inventory.Filter{Include: ".*"}}), r, "aws_ecr_repository_tags_info"); n > 0 {
		t.Errorf("%d series without a setting", n)
	}
}
