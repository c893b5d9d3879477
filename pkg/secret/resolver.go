package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

const (
	// attempts and maxBackoff leave room for them in fetchTime.
	attempts   = 3
	maxBackoff = time.Second
	// maxFile bounds a file: a bundle of all public authorities has 220 KB.
	maxFile = 1 << 20
)

// Permission is an IAM action that a call needs, and on what.
type Permission struct {
	Action string
	// Resource is an ARN, with NAME for the name.
	Resource string
}

// Permissions are the IAM actions that secrets in AWS need (Service Authorization
// Reference, AWS Secrets Manager and AWS Systems Manager). Each is declared beside
// its call. A secret or parameter encrypted with a customer's key of KMS needs
// kms:Decrypt on that key besides.
var Permissions = []Permission{getSecretValue, getParameter}

// Resolver makes Secrets. It is safe for concurrent use.
type Resolver struct {
	cfg aws.Config
	log *slog.Logger

	mu      sync.Mutex
	sources map[Reference]*source
	// The clients by Region, made on first use: a start without such secrets pays
	// nothing for them.
	secretsManager map[string]*secretsmanager.Client
	parameters     map[string]*ssm.Client
}

// NewResolver returns a Resolver that asks AWS with the given configuration. It
// makes no call and no client. A nil logger discards.
func NewResolver(cfg aws.Config, log *slog.Logger) *Resolver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// Requests and answers hold what must not be logged, whatever was asked for.
	cfg.ClientLogMode &^= aws.LogSigning | aws.LogRequest | aws.LogRequestWithBody | aws.LogResponse | aws.LogResponseWithBody
	return &Resolver{
		cfg:            cfg,
		log:            log,
		sources:        map[Reference]*source{},
		secretsManager: map[string]*secretsmanager.Client{},
		parameters:     map[string]*ssm.Client{},
	}
}

// Secret returns the secret that the text is or refers to, as Parse reads it. It
// reads nothing yet. Secrets that are kept in one place share what was read.
func (r *Resolver) Secret(text string) (*Secret, error) {
	reference, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if reference.Literal() {
		return &Secret{reference: reference, literal: &text}, nil
	}
	stored := reference.stored()
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.sources[stored]
	if from == nil {
		from = &source{reference: stored, log: r.log, read: func(ctx context.Context) (string, error) { return r.read(ctx, stored) }}
		r.sources[stored] = from
	}
	return &Secret{reference: reference, source: from}, nil
}

func (r *Resolver) read(ctx context.Context, from Reference) (text string, err error) {
	switch from.prefix {
	case prefixSecretsManager:
		text, err = r.secretValue(ctx, from)
	case prefixSSM:
		text, err = r.parameter(ctx, from)
	default:
		return readFile(from.name)
	}
	if err != nil && retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary {
		err = &passing{err}
	}
	return text, err
}

var getSecretValue = Permission{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-??????"}

func (r *Resolver) secretValue(ctx context.Context, from Reference) (string, error) {
	client := clientIn(r, r.secretsManager, from.region, func(cfg aws.Config) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(cfg)
	})
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &from.name})
	if err != nil {
		return "", err
	}
	if out.SecretString == nil {
		return "", errors.New("it is binary, want text")
	}
	return *out.SecretString, nil
}

var getParameter = Permission{"ssm:GetParameter", "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"}

func (r *Resolver) parameter(ctx context.Context, from Reference) (string, error) {
	client := clientIn(r, r.parameters, from.region, func(cfg aws.Config) *ssm.Client {
		return ssm.NewFromConfig(cfg)
	})
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &from.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	if out.Parameter == nil {
		return "", errors.New("the answer has no parameter")
	}
	return aws.ToString(out.Parameter.Value), nil
}

// clientIn returns the client for a Region, the configuration's if region is empty.
func clientIn[C any](r *Resolver, clients map[string]*C, region string, create func(aws.Config) *C) *C {
	r.mu.Lock()
	defer r.mu.Unlock()
	client := clients[region]
	if client == nil {
		cfg := r.cfg
		if region != "" {
			cfg.Region = region
		}
		cfg.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff })
		}
		client = create(cfg)
		clients[region] = client
	}
	return client
}

// readFile reads a whole file. Only a regular file is known to end.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
