//go:build unix

package lambdatest

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"
)

// The credentials that a function is given unless Function.Env says otherwise.
// They open nothing. Without any, the AWS SDK would look for some on the network.
const (
	AccessKeyID     = "ASIALAMBDATESTEXAMPLE"
	SecretAccessKey = "lambdatest/not/a/secret/EXAMPLEKEY"
	SessionToken    = "lambdatest-session-token"
)

// Function is what to run and how its environment looks. Only Path is needed.
type Function struct {
	// Path is the executable, the built bootstrap. Its folder is the function's
	// working directory and LAMBDA_TASK_ROOT.
	Path string
	// Args are given to it. Lambda gives none.
	Args []string
	// Env are further variables, "name=value", which win over the ones set here.
	// Nothing is inherited from the calling process, as an AWS_PROFILE or a proxy
	// of a developer would change what is tested.
	Env []string
	// Name is the function's; by default "ecr-remote-write".
	Name string
	// Region is by default us-east-1.
	Region string
	// AccountID is by default 123456789012.
	AccountID string
	// MemoryMB is what the function is told it has, by default 256. It is not
	// enforced: see Exit.PeakRSS.
	MemoryMB int
	// LogFormat is "JSON", the default, or "Text".
	LogFormat string
	// LogLevel is the application log level, such as "DEBUG". It is set for JSON
	// only, as in Lambda; "" leaves it out.
	LogLevel string
	// Output gets what the process writes to standard output and error, from one
	// goroutine. nil discards it.
	Output io.Writer
	// InitTimeout is how long the process has until it asks for its first event, by
	// default 10 s, Lambda's own.
	InitTimeout time.Duration
}

// withDefaults fills what was left out and makes the path absolute.
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

// arn is the function's, as the header of each invocation has it.
func (f Function) arn() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", f.Region, f.AccountID, f.Name)
}

// environ is the environment of the process: what Lambda defines for an OS-only
// runtime (configuration-envvars), then the function's own. AWS_EXECUTION_ENV and
// _X_AMZN_TRACE_ID are not in it, because OS-only runtimes are not given them.
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
