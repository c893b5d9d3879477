package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// The planner with Moto's SQS, EC2 and S3: a FIFO queue has one message for each registry that
// is due, in a group of its own, however often the minute is planned.
func TestFleetMoto(t *testing.T) {
	t.Parallel()
	cfg := aws.Config{
		Region: region, BaseEndpoint: aws.String(startMoto(t)), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}
	client := sqs.NewFromConfig(cfg)
	created, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("registries.fifo"), Attributes: map[string]string{"FifoQueue": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := metrics.New(inventory.Shape{Region: region})
	if err != nil {
		t.Fatal(err)
	}
	receiver := remotewritetest.NewServer(t, remotewritetest.Options{})
	sender, err := remotewrite.New(remotewrite.Options{URL: receiver.URL})
	if err != nil {
		t.Fatal(err)
	}
	limiter := awsapi.NewLimiter(100)
	planner := fleet.New(fleet.Options{
		Source: func(context.Context) ([]byte, error) { return []byte("111122223333:*"), nil },
		Parse: func(_ context.Context, text []byte) (*targets.Document, error) {
			return targets.ParseList(string(text), targets.Defaults{Account: "111122223333", Partition: "aws", Role: "member", Interval: time.Minute})
		},
		Regions: func(ctx context.Context, _ targets.Target) ([]string, error) {
			return fleet.EnabledRegions(ctx, cfg, limiter)
		},
		Kept: state.NewFileObject(t.TempDir() + "/plan"), Queue: fleet.NewQueue(cfg, *created.QueueUrl, limiter), Table: table, Sender: sender,
	})
	// Moto takes seconds for its first answer, and a plan does not wait for long.
	if _, err := fleet.EnabledRegions(t.Context(), cfg, limiter); err != nil {
		t.Fatal(err)
	}
	slot := time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC)
	plan := func() fleet.Summary {
		t.Helper()
		s, err := planner.Plan(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	// The Regions are those of the next plans.
	if s := plan(); s.Targets != 0 || s.Waiting != 0 {
		t.Errorf("the first plan: %+v", s)
	}
	first, again := plan(), plan()
	if first.Targets < 15 || first.Sent != first.Targets || first.Waiting != 0 || again.Sent != first.Sent || again.Waiting != first.Sent {
		t.Errorf("%+v, then %+v", first, again)
	}

	groups := map[string]bool{}
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: created.QueueUrl, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameMessageGroupId},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			break
		}
		for _, message := range out.Messages {
			var event struct{ Detail targets.Work }
			if err := json.Unmarshal([]byte(*message.Body), &event); err != nil {
				t.Fatal(err)
			}
			group := message.Attributes["MessageGroupId"]
			if event.Detail.Target.String() != group || !event.Detail.Slot.Equal(slot) || groups[group] {
				t.Errorf("%s in group %s", *message.Body, group)
			}
			groups[group] = true
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: created.QueueUrl, ReceiptHandle: message.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(groups) != first.Sent || !groups["111122223333/eu-west-1"] || groups["111122223333/ap-east-1"] {
		t.Errorf("groups %v, want one for each of %d Regions, and none for one that is not opted in", slices.Sorted(maps.Keys(groups)), first.Sent)
	}
	if got := receiver.Find("aws_ecr_exporter_target_info"); len(got) != first.Targets {
		t.Errorf("%d registries have information, want %d", len(got), first.Targets)
	}
	// A queue that does not exist is an error that says how many were not sent.
	_, err = fleet.NewQueue(cfg, *created.QueueUrl+"gone", limiter).Send(t.Context(), []targets.Work{{Target: targets.Target{Account: "111122223333"}}})
	if text := fmt.Sprint(err); err == nil || len(text) < 20 {
		t.Errorf("sending to a queue that does not exist: %v", err)
	}
}
