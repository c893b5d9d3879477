package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Bounds of a batch and its messages, in messages and bytes. SQS accepts more bytes since
// August 2025; Lambda's payload is what counts for a message.
// See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
const (
	batchMessages = 10
	batchBytes    = 256 << 10
)

// maxSends bounds how often a message is sent that SQS refuses in a batch that it accepts.
const maxSends = 3

// maxResponse bounds a response in bytes: one to a batch has about 4,000, the Regions 10,000.
const maxResponse = 1_000_000

// Queue is the FIFO queue from which the workers take the registries that are due.
type Queue struct {
	api *sqs.Client
	url string
}

// NewQueue returns the queue with a URL. It makes no call.
func NewQueue(cfg aws.Config, url string, limiter *awsapi.Limiter) *Queue {
	return &Queue{sqs.NewFromConfig(limiter.ConfigureBounded(cfg, maxResponse)), url}
}

var getQueueAttributes = awsapi.Permission{Action: "sqs:GetQueueAttributes", Resource: "arn:aws:sqs:REGION:ACCOUNT:QUEUE"}

// Waiting returns about how many messages no worker has taken yet; -1 with an error.
// See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
func (q *Queue) Waiting(ctx context.Context) (int, error) {
	const name = types.QueueAttributeNameApproximateNumberOfMessages
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		return -1, fmt.Errorf("asking how many messages wait: %w", err)
	}
	n, err := strconv.Atoi(out.Attributes[string(name)])
	if err != nil || n < 0 {
		return -1, fmt.Errorf("asking how many messages wait: %w: %s is %q", awsapi.ErrIncomplete, name, out.Attributes[string(name)])
	}
	return n, nil
}

var sendMessage = awsapi.Permission{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:REGION:ACCOUNT:QUEUE"}

// Send sends a message for each work, and returns how many SQS has accepted. A message that it
// has already, of the same registry and slot, counts as accepted and is not delivered again.
// The error says how many were not sent, and why the first was not.
func (q *Queue) Send(ctx context.Context, works []targets.Work) (int, error) {
	var first error
	var batch []types.SendMessageBatchRequestEntry
	sent, size := 0, 0
	failed := func(work int, err error) {
		if first == nil {
			first = fmt.Errorf("%s: %w", &works[work].Target, err)
		}
	}
	flush := func() {
		if len(batch) > 0 {
			sent += q.send(ctx, batch, failed)
		}
		batch, size = nil, 0
	}
	for i := range works {
		body, group, dedup := works[i].Message()
		if len(body) > batchBytes {
			failed(i, fmt.Errorf("its message has %d bytes, more than %d", len(body), batchBytes))
			continue
		}
		if len(batch) == batchMessages || size+len(body) > batchBytes {
			flush()
		}
		size += len(body)
		batch = append(batch, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: &dedup,
		})
	}
	flush()
	if first != nil {
		return sent, fmt.Errorf("%d of %d registries that are due were not sent to the queue, among them %w", len(works)-sent, len(works), first)
	}
	return sent, nil
}

// send sends a batch, and what SQS refuses of it for reasons of its own again. It calls failed
// with the index of each work that is not sent, and returns the number of the others.
func (q *Queue) send(ctx context.Context, batch []types.SendMessageBatchRequestEntry, failed func(int, error)) (sent int) {
	causes := map[string]error{}
	for attempt := 1; len(batch) > 0 && attempt <= maxSends; attempt++ {
		if attempt > 1 {
			pause(ctx, time.Duration(attempt-1)*200*time.Millisecond)
		}
		out, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: batch})
		if err != nil {
			for _, entry := range batch {
				causes[*entry.Id] = err
			}
			break
		}
		for _, entry := range batch {
			causes[*entry.Id] = fmt.Errorf("%w: SQS does not say whether it has the message", awsapi.ErrIncomplete)
		}
		final := map[string]bool{}
		for _, refused := range out.Failed {
			id := aws.ToString(refused.Id)
			causes[id] = errors.New(awsapi.Printable(aws.ToString(refused.Code)+": "+aws.ToString(refused.Message), 200))
			final[id] = refused.SenderFault
		}
		for _, accepted := range out.Successful {
			id := aws.ToString(accepted.Id)
			if _, ours := causes[id]; ours && !final[id] {
				final[id] = true
				delete(causes, id)
				sent++
			}
		}
		batch = slices.DeleteFunc(batch, func(entry types.SendMessageBatchRequestEntry) bool { return final[*entry.Id] })
	}
	for id, err := range causes {
		if work, invalid := strconv.Atoi(id); invalid == nil {
			failed(work, err)
		}
	}
	return sent
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
