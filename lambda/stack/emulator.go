//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// emulatorStart is a timeout for starting MiniStack, which takes two seconds on an idle
// machine.
const emulatorStart = time.Minute

// emulator is a MiniStack process and clients of its APIs.
type emulator struct {
	*localtest.Process
	url string

	stacks    *cloudformation.Client
	functions *lambda.Client
	queues    *sqs.Client
	roles     *iam.Client
	logs      *cloudwatchlogs.Client
	objects   *s3.Client
	secrets   *secretsmanager.Client
	tokens    *sts.Client
}

// startEmulator starts MiniStack and waits until it serves. Functions inherit its
// environment, and with it the endpoints of the simulated registry and of the gateway.
func startEmulator(ctx context.Context, python, registry string, front *gateway) (*emulator, error) {
	port, err := localtest.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	e := &emulator{url: "http://127.0.0.1:" + port}
	e.Process, err = localtest.StartProcess("MiniStack", nil, func(folder string) (*exec.Cmd, error) {
		cmd := exec.Command(python, "-m", "ministack") //nolint:noctx // stop stops it, after its functions are idle
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"),
			"HOME=" + folder, "TMPDIR=" + folder,
			"BIND_HOST=127.0.0.1", // the default is all interfaces
			"MINISTACK_HOST=127.0.0.1", "GATEWAY_PORT=" + port,
			"SERVICES=cloudformation,cloudwatch,ec2,events,iam,kms,lambda,logs,organizations,s3,secretsmanager,sns,sqs,sts",
			"SFTP_ENABLED=0", "IOT_MTLS_ENABLED=0",
			"MINISTACK_ACCOUNT_ID=" + localtest.Account, "MINISTACK_REGION=" + localtest.Region,
			"AUTH=true", // enforces IAM policies
			"AWS_ENDPOINT_URL=" + front.url, "SSL_CERT_FILE=" + front.certificate,
			"HTTPS_PROXY=" + front.url, "HTTP_PROXY=" + front.url, "NO_PROXY=127.0.0.1",
			"AWS_ENDPOINT_URL_ECR=" + registry, "AWS_ENDPOINT_URL_INSPECTOR2=" + registry,
		}
		cmd.Env = append(cmd.Env, credentialEnv()...)
		return cmd, nil
	})
	if err != nil {
		return nil, err
	}
	if err := e.Await(ctx, e.serving(ctx), emulatorStart); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	cfg := aws.Config{
		Region: localtest.Region, BaseEndpoint: &front.url, HTTPClient: front.client(),
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
	e.stacks, e.functions, e.queues = cloudformation.NewFromConfig(cfg), lambda.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	e.roles, e.logs, e.secrets = iam.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg)
	e.tokens = sts.NewFromConfig(cfg)
	e.objects = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	return e, nil
}

// MiniStack takes an access key of 12 digits as the account.
const (
	accessKey = localtest.Account
	secretKey = "not-a-secret"
)

// credentialEnv are the credentials and the Region of the emulator's administrator.
func credentialEnv() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_REGION=" + localtest.Region, "AWS_DEFAULT_REGION=" + localtest.Region,
	}
}

// serving returns a channel that is closed once the emulator is healthy.
func (e *emulator) serving(ctx context.Context) <-chan struct{} {
	serving := make(chan struct{})
	go func() {
		for {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/_ministack/health", http.NoBody)
			if err != nil {
				return
			}
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					close(serving)
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-e.Exited:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return serving
}

// functionProcesses returns the ids of the functions' processes.
func (e *emulator) functionProcesses() ([]int, error) {
	// Each thread has a list of the processes that it started.
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", e.ID()))
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, fmt.Errorf("list the processes of MiniStack: %w", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			id, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", list, err)
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// stopFunctions kills the functions' processes and waits until they have ended: MiniStack
// would pass the next event to a process that is still ending. The next invocation of a
// function starts a new one.
func (e *emulator) stopFunctions() (int, error) {
	ids, err := e.functionProcesses()
	for _, id := range ids {
		err = errors.Join(err, syscall.Kill(id, syscall.SIGKILL))
	}
	deadline := time.Now().Add(5 * time.Second)
	for _, id := range ids {
		for !ended(id) {
			if time.Now().After(deadline) {
				return len(ids), errors.Join(err, fmt.Errorf("process %d of a function does not end", id))
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return len(ids), err
}

// ended reports whether a process and all of its threads have ended, so that its parent no
// longer finds it running. See proc_pid_stat(5): the state follows the name, which is in
// parentheses. The first thread can be a zombie while others still end.
func ended(id int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", id))
	return len(threads) <= 1 && (strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X"))
}

// stop stops MiniStack and its functions, which it does not stop itself: they are in its
// process group. The end of its log goes into a file.
func (e *emulator) stop(log string) error {
	group := -e.ID()
	err := errors.Join(os.WriteFile(log, []byte(e.Output()+"\n"), 0o600), e.Stop())
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(group, signal) // the error is that none is left
		for range 40 {
			if syscall.Kill(group, 0) != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return errors.Join(err, fmt.Errorf("processes of group %d do not end", -group))
}
