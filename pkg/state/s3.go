package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// s3Object is an object in S3. Its version is its ETag.
type s3Object struct {
	api         *s3.Client
	bucket, key string
	whole       string // key of the whole, which names what is set aside
}

// Limits of retries; the context's deadline is another one.
const (
	maxAttempts = 5 // of each request
	maxReads    = 3 // of an object whose download breaks off, which the SDK does not retry
)

// Permissions are the IAM actions that a Store in S3 needs (Service Authorization
// Reference, Amazon S3). A bucket encrypted with a customer managed KMS key needs
// kms:Decrypt and kms:GenerateDataKey on that key too.
var Permissions = []awsapi.Permission{getObject, getChanges, listBucket, putObject, putChanges, putDamaged, putDamagedChanges, putOther, putOtherChanges}

// NewS3 returns a Store in an S3 object. It makes no call. log may be nil.
//
// Writes are conditional on the ETag of the version that was read, so that no other
// environment's changes are overwritten. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func NewS3(cfg aws.Config, bucket, key string, log *slog.Logger) *Store {
	api := newAPI(cfg)
	return newStore(s3Object{api, bucket, key, key}, s3Object{api, bucket, key + changesSuffix, key}, log)
}

func newAPI(cfg aws.Config) *s3.Client {
	// Of awsapi the retries and kinds of errors are used. A run makes a few requests, far
	// below the rate limit.
	cfg = awsapi.NewLimiter(100).Configure(cfg)
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.UsePathStyle || withoutSubdomains(aws.ToString(o.BaseEndpoint))
		o.RetryMaxAttempts = maxAttempts
		// The stored form has a checksum of its own, which inventory.Decode verifies.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

// withoutSubdomains reports whether an endpoint is an IP address or a host name without a
// dot: then the bucket is named in the path.
func withoutSubdomains(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil || !strings.Contains(u.Hostname(), ".")
}

func (o s3Object) String() string { return "s3://" + o.bucket + "/" + o.key }

var (
	getObject  = awsapi.Permission{Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/KEY"}
	getChanges = awsapi.Permission{Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/KEY" + changesSuffix}
	// Without it S3 responds with 403 instead of 404 if the object does not exist.
	listBucket = awsapi.Permission{Action: "s3:ListBucket", Resource: "arn:aws:s3:::BUCKET"}
)

// errBrokenOff means that a download did not come to its end.
var errBrokenOff = errors.New("the download broke off")

func (o s3Object) folder() string { return "" }

func (o s3Object) read(ctx context.Context, known string, decode func(io.Reader) error) (string, error) {
	for n := 1; ; n++ {
		version, err := o.readOnce(ctx, known, decode)
		if !errors.Is(err, errBrokenOff) || n == maxReads || pause(ctx, n) != nil {
			return version, err
		}
	}
}

func (o s3Object) readOnce(ctx context.Context, known string, decode func(io.Reader) error) (string, error) {
	in := &s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key}
	if known != "" {
		in.IfNoneMatch = &known
	}
	out, err := o.api.GetObject(ctx, in)
	if err != nil {
		switch status, code := failureOf(err); {
		case status == http.StatusNotModified:
			return known, nil
		case code == "NoSuchKey":
			return "", nil
		case errors.Is(err, awsapi.ErrDenied):
			err = fmt.Errorf("%w (needs %s and %s: without the latter, S3 also denies an object that does not exist)", err, getObject.Action, listBucket.Action)
		}
		return "", err
	}
	defer out.Body.Close()
	err = decode(bufio.NewReaderSize(out.Body, 64<<10))
	if err != nil && !errors.Is(err, inventory.ErrFormat) && !errors.Is(err, errChanged) {
		err = fmt.Errorf("%w: %w", errBrokenOff, err)
	}
	return aws.ToString(out.ETag), err
}

var (
	putObject  = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY"}
	putChanges = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + changesSuffix}
)

// write needs a file, because the SDK needs the length and checksum before it sends, and
// reads again to retry.
func (o s3Object) write(ctx context.Context, body *os.File, known string) (string, error) {
	if _, err := body.Seek(0, 0); err != nil {
		return "", err
	}
	in := &s3.PutObjectInput{Bucket: &o.bucket, Key: &o.key, Body: body, ContentType: aws.String("application/gzip")}
	if known == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &known
	}
	out, err := o.api.PutObject(ctx, in)
	if err != nil {
		switch _, code := failureOf(err); {
		// The version is another one, another write is under way, or the object was
		// deleted. See "Error responses" on the page about conditional writes.
		case code == "PreconditionFailed", code == "ConditionalRequestConflict", code == "NoSuchKey":
			err = fmt.Errorf("%w: %w", errConflict, err)
		case errors.Is(err, awsapi.ErrDenied):
			err = fmt.Errorf("%w (needs %s)", err, putObject.Action)
		}
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// What is set aside.
var (
	putDamaged        = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + damagedSuffix}
	putDamagedChanges = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + damagedSuffix + changesSuffix}
	putOther          = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + otherSuffix}
	putOtherChanges   = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + otherSuffix + changesSuffix}
)

// setAside copies the object: the next save replaces it.
func (o s3Object) setAside(ctx context.Context, version, suffix string) (string, error) {
	// In this header S3 takes + for a space.
	source := strings.ReplaceAll((&url.URL{Path: o.bucket + "/" + o.key}).EscapedPath(), "+", "%2B")
	_, err := o.api.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &o.bucket, Key: aws.String(o.whole + suffix),
		CopySource: &source, CopySourceIfMatch: &version,
		TaggingDirective: types.TaggingDirectiveReplace, // copying tags needs more permissions
	})
	if errors.Is(err, awsapi.ErrDenied) {
		err = fmt.Errorf("%w (needs %s on KEY%s)", err, putDamaged.Action, suffix)
	}
	return s3Object{bucket: o.bucket, key: o.whole + suffix}.String(), err
}

// failureOf returns the HTTP status and the error code of a failed request. A 304 has no
// code. See https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func failureOf(err error) (status int, code string) {
	if response := (*awshttp.ResponseError)(nil); errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code = api.ErrorCode()
	}
	return status, code
}
