package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// maxFile bounds a file, in bytes: a bundle of all public authorities has 220 KB.
const maxFile = 1 << 20

// Permissions are the IAM actions for secrets in AWS. Each is declared beside its call.
// A secret encrypted with a customer managed KMS key needs kms:Decrypt on that key too.
var Permissions = []awsapi.Permission{getSecretValue, getParameter}

// Resolver makes Secrets. It is safe for concurrent use.
type Resolver struct {
	cfg aws.Config
	log *slog.Logger

	mu      sync.Mutex
	sources map[reference]*source
}

// NewResolver returns a Resolver that calls AWS with the given configuration, but not
// yet.
func NewResolver(cfg aws.Config, log *slog.Logger) *Resolver {
	// Requests and responses hold secrets, so they are never logged.
	cfg.ClientLogMode &^= aws.LogSigning | aws.LogRequest | aws.LogRequestWithBody | aws.LogResponse | aws.LogResponseWithBody
	return &Resolver{cfg: cfg, log: log, sources: map[reference]*source{}}
}

// Secret returns the secret of a setting, nil if the setting is not set. It reads
// nothing yet. The members of one JSON object come from one read, so that a certificate
// and its key match.
func (r *Resolver) Secret(text Text) *Secret {
	if !text.IsSet() {
		return nil
	}
	if text.literal != nil {
		return &Secret{Text: text}
	}
	stored := *text.reference
	stored.key = ""
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.sources[stored]
	if from == nil {
		from = &source{name: stored.String(), log: r.log, read: func(ctx context.Context) (string, error) { return r.read(ctx, stored) }}
		r.sources[stored] = from
	}
	return &Secret{Text: text, source: from}
}

// NewRun lets every secret that was refused, or could not be read, be read again at once:
// it may have been rotated since the previous run.
func (r *Resolver) NewRun() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sources {
		s.newRun()
	}
}

func (r *Resolver) read(ctx context.Context, from reference) (string, error) {
	// A client is made for each read, as these are rare.
	cfg := r.cfg.Copy()
	if from.region != "" {
		cfg.Region = from.region
	}
	switch from.store {
	case secretsManager:
		return readSecretValue(ctx, secretsmanager.NewFromConfig(cfg), from.name)
	case parameterStore:
		return readParameter(ctx, ssm.NewFromConfig(cfg), from.name)
	}
	return readFile(from.name)
}

var getSecretValue = awsapi.Permission{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-??????"}

func readSecretValue(ctx context.Context, client *secretsmanager.Client, id string) (string, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", err
	}
	if out.SecretString == nil {
		return "", errors.New("it is binary, want text")
	}
	return *out.SecretString, nil
}

var getParameter = awsapi.Permission{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"}

func readParameter(ctx context.Context, client *ssm.Client, name string) (string, error) {
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	if out.Parameter == nil {
		return "", errors.New("the response has no parameter")
	}
	return aws.ToString(out.Parameter.Value), nil
}

// readFile reads a regular file: others may never end.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxFile:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
