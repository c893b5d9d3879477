//go:build unix

package lambdatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"
)

// behaviour names the variable that makes the test binary a Lambda function.
const behaviour = "LAMBDATEST_BEHAVIOUR"

func TestMain(m *testing.M) {
	if name := os.Getenv(behaviour); name != "" {
		beFunction(name)
		return
	}
	goleak.VerifyTestMain(m)
}

// seen is what a function reports about its invocation.
type seen struct {
	Event     json.RawMessage `json:"event"`
	RequestID string          `json:"requestId"`
	ARN       string          `json:"arn"`
	Deadline  time.Time       `json:"deadline"`
	Trace     string          `json:"trace"`
	Count     int             `json:"count"`
}

// beFunction is a function on the real runtime client, aws-lambda-go. It does not
// return as long as the runtime is served.
func beFunction(name string) {
	switch name {
	case "exit before the first request":
		fmt.Fprintln(os.Stderr, "no configuration")
		os.Exit(3)
	case "report a failed init":
		body := `{"errorType":"Extension.ConfigInvalid","errorMessage":"REMOTE_WRITE_URL is missing"}`
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + apiPath + "init/error"
		resp, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			fmt.Fprintln(os.Stderr, resp, err)
		}
		os.Exit(1)
	case "no request":
		select {}
	case "ignore SIGTERM":
		signal.Ignore(syscall.SIGTERM)
	case "write":
		fmt.Println("to standard output")
		fmt.Fprintln(os.Stderr, "to standard error")
	}
	count := 0
	lambda.Start(func(ctx context.Context, event json.RawMessage) (any, error) {
		count++
		switch name {
		case "error":
			return nil, errors.New("ECR said no")
		case "panic":
			panic("a bug")
		case "exit":
			os.Exit(7)
		case "hang":
			<-make(chan struct{})
		case "too much":
			return strings.Repeat("x", MaxResponseBytes), nil
		case "environment":
			return os.Environ(), nil
		case "use 300 MB":
			used := bytes.Repeat([]byte("x"), 300<<20)
			return bytes.Count(used, []byte("x")), nil
		}
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return seen{event, lc.AwsRequestID, lc.InvokedFunctionArn, deadline, os.Getenv("_X_AMZN_TRACE_ID"), count}, nil
	})
}
