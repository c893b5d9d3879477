package metrics_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func TestFleet(t *testing.T) {
	t.Parallel()
	fleet := metrics.Fleet{
		Registries: []metrics.FleetRegistry{{"111122223333", "eu-west-1", "payments"}, {"444455556666", "us-east-1", ""}},
		Starting:   3, Unknown: 4, Valid: true,
	}
	shape := inventory.Shape{Region: "eu-north-1", External: map[string]string{"org": "example"}}
	up := `aws_ecr_repository_exporter_up{org="example"} 1`
	want := []string{
		up,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="active"} 2`,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="starting"} 3`,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="unknown"} 4`,
		`aws_ecr_exporter_target_info{account_name="payments",org="example",region="eu-west-1",registry_id="111122223333"} 1`,
		`aws_ecr_exporter_target_info{account_name="",org="example",region="us-east-1",registry_id="444455556666"} 1`,
		`aws_ecr_exporter_targets_valid{org="example",region="eu-north-1"} 1`,
		`aws_ecr_exporter_targets_waiting{org="example",region="eu-north-1"} 0`,
	}
	if diff := cmp.Diff(want, samples(text(t, table(shape).OfFleet(fleet)))); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}

	// Nothing is known of the queue, and there is no good list.
	want = []string{
		up,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="active"} 0`,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="starting"} 0`,
		`aws_ecr_exporter_targets{org="example",region="eu-north-1",state="unknown"} 0`,
		`aws_ecr_exporter_targets_valid{org="example",region="eu-north-1"} 0`,
	}
	if diff := cmp.Diff(want, samples(text(t, table(shape).OfFleet(metrics.Fleet{Waiting: -1})))); diff != "" {
		t.Errorf("series while nothing is known (-want +got):\n%s", diff)
	}

	shape.Families.Exclude = "aws_ecr_exporter_.*"
	if diff := cmp.Diff([]string{up}, samples(text(t, table(shape).OfFleet(fleet)))); diff != "" {
		t.Errorf("series with families excluded (-want +got):\n%s", diff)
	}
	for range table(inventory.Shape{}).OfFleet(fleet) {
		break // and no panic
	}
}

func TestFleetFamilyTable(t *testing.T) {
	t.Parallel()
	for _, f := range metrics.FleetFamilies() {
		if !strings.HasPrefix(f.Name, "aws_ecr_exporter_target") || f.Help == "" || f.Type != "gauge" || f.Unit == "" || f.Setting != "TARGETS" {
			t.Errorf("row %s: not the exporter's name, no gauge, or a help, unit or setting missing", f.Name)
		}
	}
	shown := table(inventory.Shape{}).FleetFamilies()
	if len(shown) != len(metrics.FleetFamilies())+1 || shown[0].Name != metrics.Families()[6].Name {
		t.Errorf("the table shows %d families, the first is %s", len(shown), shown[0].Name)
	}
}
