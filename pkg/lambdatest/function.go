//go:build unix

package lambdatest

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"
)

// The default credentials of a function, which Function.Env may replace. They are not
// valid anywhere. Without any, the AWS SDK would request some from the network.
const (
	AccessKeyID     = "ASIALAMBDATESTEXAMPLE"
	SecretAccessKey = "lambdatest/not/a/secret/EXAMPLEKEY"
	SessionToken    = "lambdatest-session-token"
)

// Function is a program and its environment. Only Path is required.
type Function struct {
	// Path is the executable, the built bootstrap. Its folder is the function's
	// working directory and LAMBDA_TASK_ROOT.
	Path string
	// Args are its arguments. Lambda passes none.
	Args []string
	// Env are further variables, "name=value", which override those that are set here.
	// Nothing is inherited from the calling process, because an AWS_PROFILE or a proxy of
	// a developer would change what is tested.
	Env []string
	// Name is the function's; by default "ecr-remote-write".
	Name string
	// Region is by default us-east-1.
	Region string
	// AccountID is by default 123456789012.
	AccountID string
	// MemoryMB is the memory size in the function's environment, by default 256. It is
	// not enforced: see Exit.PeakRSS.
	MemoryMB int
	// LogFormat is "JSON", the default, or "Text".
	LogFormat string
	// LogLevel is the application log level, such as "DEBUG", or empty. As in Lambda, it
	// is set for JSON only.
	LogLevel string
	// Output receives standard output and error of the process, from one goroutine. nil
	// discards them.
	Output io.Writer
	// InitTimeout is the time until the first request for an event, by default 10 s as in
	// Lambda.
	InitTimeout time.Duration
}

// withDefaults sets the defaults and makes the path absolute.
func (f Function) withDefaults() (Function, error) {
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return f, fmt.Errorf("find %q: %w", f.Path, err)
	}
	f.Path = path
	setDefault(&f.Name, "ecr-remote-write")
	setDefault(&f.Region, "us-east-1")
	setDefault(&f.AccountID, "123456789012")
	setDefault(&f.MemoryMB, 256)
	setDefault(&f.LogFormat, "JSON")
	setDefault(&f.InitTimeout, 10*time.Second)
	return f, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// arn is the function's ARN, as in the header of each invocation.
func (f Function) arn() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", f.Region, f.AccountID, f.Name)
}

// environ is the environment of the process: the variables of an OS-only runtime
// (configuration-envvars), then the function's own. OS-only runtimes do not have
// AWS_EXECUTION_ENV and _X_AMZN_TRACE_ID.
func (f Function) environ(api string) []string {
	root := filepath.Dir(f.Path)
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + hexID(16),
		"AWS_LAMBDA_LOG_FORMAT=" + f.LogFormat,
		"AWS_REGION=" + f.Region,
		"AWS_DEFAULT_REGION=" + f.Region,
		"AWS_ACCESS_KEY_ID=" + AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + SecretAccessKey,
		"AWS_SESSION_TOKEN=" + SessionToken,
		"_HANDLER=bootstrap",
		"LAMBDA_TASK_ROOT=" + root,
		"LAMBDA_RUNTIME_DIR=" + root,
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
	}
	if f.LogFormat == "JSON" && f.LogLevel != "" {
		env = append(env, "AWS_LAMBDA_LOG_LEVEL="+f.LogLevel)
	}
	return append(env, f.Env...)
}
