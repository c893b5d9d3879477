package fleet

import (
	"cmp"
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

// How often a message is sent that SQS refuses, the last time after twice the pause.
const (
	maxSends    = 3
	resendAfter = 200 * time.Millisecond
)

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
// The error says how many were not accepted, and why one was not.
func (q *Queue) Send(ctx context.Context, works []targets.Work) (int, error) {
	var batch []types.SendMessageBatchRequestEntry
	var cause error
	sent, size := 0, 0
	flush := func() {
		n, err := q.send(ctx, batch)
		sent += n
		cause = cmp.Or(cause, err)
		batch, size = nil, 0
	}
	for i := range works {
		body, group, dedup := works[i].Message()
		if len(body) > batchBytes {
			cause = cmp.Or(cause, fmt.Errorf("%s: its message has %d bytes, more than %d", group, len(body), batchBytes))
			continue
		}
		if len(batch) == batchMessages || size+len(body) > batchBytes {
			flush()
		}
		size += len(body)
		batch = append(batch, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(len(batch))), MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: &dedup,
		})
	}
	flush()
	if cause != nil {
		cause = fmt.Errorf("%d of %d registries that are due were not sent to the queue: %w", len(works)-sent, len(works), cause)
	}
	return sent, cause
}

// send sends a batch, and again what SQS refuses of it: a batch that it accepts can have such
// messages. It returns how many it has accepted, and why one is not among them.
func (q *Queue) send(ctx context.Context, batch []types.SendMessageBatchRequestEntry) (sent int, cause error) {
	for attempt := 0; len(batch) > 0 && attempt < maxSends; attempt++ {
		select {
		case <-time.After(time.Duration(attempt) * resendAfter):
		case <-ctx.Done(): // and so the call is an error
		}
		out, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: batch})
		if err != nil {
			return sent, fmt.Errorf("%s: %w", *batch[0].MessageGroupId, err)
		}
		n := len(batch)
		batch = slices.DeleteFunc(batch, func(entry types.SendMessageBatchRequestEntry) bool {
			return slices.ContainsFunc(out.Successful, func(accepted types.SendMessageBatchResultEntry) bool { return aws.ToString(accepted.Id) == *entry.Id })
		})
		sent += n - len(batch)
		cause = awsapi.ErrIncomplete
		if len(out.Failed) > 0 {
			cause = errors.New(awsapi.Printable(aws.ToString(out.Failed[0].Code)+": "+aws.ToString(out.Failed[0].Message), 200))
		}
	}
	if len(batch) == 0 {
		return sent, nil
	}
	return sent, fmt.Errorf("%s: %w", *batch[0].MessageGroupId, cause)
}
