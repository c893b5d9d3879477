package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// ministack is MiniStack with S3 and SQS, whose FIFO queues keep the order of a group as those
// of AWS do. Moto's do not.
type ministack struct {
	url    string
	queues *sqs.Client
}

// startMiniStack starts MiniStack on a free port until the test ends. Without MiniStack the
// test is skipped, but not in CI, where it has to be installed.
func startMiniStack(t *testing.T) *ministack {
	t.Helper()
	path, err := exec.LookPath("ministack")
	if err != nil {
		// Where the CI script installs it. The process has a folder of its own.
		path, err = filepath.Abs(filepath.Join("..", "..", ".build", "ministack", "bin", "ministack"))
		if err == nil {
			_, err = os.Stat(path)
		}
	}
	if err != nil {
		const missing = "no ministack in PATH or .build/ministack/bin: make .build/ministack"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	port, err := localtest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := &ministack{url: "http://127.0.0.1:" + port}
	process, err := localtest.StartProcess("MiniStack", nil, func(folder string) (*exec.Cmd, error) {
		cmd := exec.Command(path)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder,
			"BIND_HOST=127.0.0.1", "MINISTACK_HOST=127.0.0.1", "GATEWAY_PORT=" + port, // the default is all interfaces
			"SERVICES=s3,sqs", "SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0", "MINISTACK_REGION=" + region, "LOG_LEVEL=WARNING",
		}
		return cmd, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	serving, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		defer stop()
		for range 600 {
			response, err := http.Get(m.url + "/_ministack/health")
			if err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return
				}
			}
			select {
			case <-serving.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	if err := process.Await(t.Context(), serving.Done(), time.Minute); err != nil {
		t.Fatal(err)
	}
	m.queues = sqs.New(sqs.Options{Region: region, BaseEndpoint: &m.url, Credentials: aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})})
	return m
}

// put puts an object into a bucket, or makes the bucket if the key is empty.
func (m *ministack) put(t *testing.T, bucket, key, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.url+"/"+bucket+"/"+key, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("put s3://%s/%s: %s", bucket, key, response.Status)
	}
}

// queue is a FIFO queue with a dead-letter queue.
type queue struct {
	client    *sqs.Client
	url, dead string
}

// queue makes a queue whose messages are visible again after a time, and which gives one up
// that was received so many times.
func (m *ministack) queue(t *testing.T, name string, visibility time.Duration, receives int) *queue {
	t.Helper()
	create := func(name string, attributes map[string]string) string {
		attributes["FifoQueue"] = "true"
		out, err := m.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name + ".fifo"), Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return *out.QueueUrl
	}
	q := &queue{client: m.queues, dead: create(name+"-dead", map[string]string{})}
	attributes, err := q.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &q.dead, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		t.Fatal(err)
	}
	q.url = create(name, map[string]string{
		"VisibilityTimeout": strconv.Itoa(int(visibility.Seconds())),
		"RedrivePolicy":     fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, attributes.Attributes["QueueArn"], receives),
	})
	return q
}

// send sends a message of a group.
func (q *queue) send(t *testing.T, group, body string) {
	t.Helper()
	_, err := q.client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: aws.String(rand.Text()),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// receive waits a second for a message, as a poller of an event source mapping does. It is nil
// if there is none.
func (q *queue) receive(ctx context.Context) (*types.Message, error) {
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: 1, WaitTimeSeconds: 1,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("receive a message: %w", err)
	case len(out.Messages) > 1:
		return nil, errors.New("received more than one message")
	case len(out.Messages) == 0:
		return nil, nil
	}
	return &out.Messages[0], nil
}

func (q *queue) delete(ctx context.Context, m *types.Message) error {
	if _, err := q.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		return fmt.Errorf("delete a message: %w", err)
	}
	return nil
}

// left is how many messages are in the queue, received or not, and in its dead-letter queue.
func (q *queue) left(t *testing.T) (messages, dead int) {
	t.Helper()
	for url, n := range map[*string]*int{&q.url: &messages, &q.dead: &dead} {
		out, err := q.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []types.QueueAttributeName{
			types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		} {
			count, err := strconv.Atoi(out.Attributes[string(name)])
			if err != nil {
				t.Fatalf("count messages: %v", err)
			}
			*n += count
		}
	}
	return messages, dead
}
