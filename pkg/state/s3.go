package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// S3 keeps the inventory in an object of an S3 bucket. The object is written only
// in place of the version that was read before, by a conditional write on its ETag
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html):
// what another environment wrote since is merged first, never overwritten.
type S3 struct {
	api         *s3.Client
	bucket, key string
	log         *slog.Logger

	registry *inventory.Registry // the copy in memory, nil if there is none
	etag     string              // of the version whose content registry has; empty for no object

	answer error // the last one to a request that failed
}

// damagedSuffix names what is set aside because it cannot be used.
const damagedSuffix = ".damaged"

// Limits of patience. The context's deadline is the other one.
const (
	// attempts of one request, by the SDK.
	attempts   = 4
	maxBackoff = 2 * time.Second
	// A connection that breaks while the object is read is none of the SDK's.
	reads = 3
	// A save that lost says that another one won: so many can be in its way.
	saves      = 20
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second
)

// NewS3 returns a store in the object of that key. It makes no call. log may be nil.
func NewS3(cfg aws.Config, bucket, key string, log *slog.Logger) *S3 {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &S3{bucket: bucket, key: key, log: log}
	s.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.UsePathStyle || withoutSubdomains(aws.ToString(o.BaseEndpoint))
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
			o.Retryables = slices.Insert(o.Retryables, 0, retry.IsErrorRetryable(retry.IsErrorRetryableFunc(s.note)))
		})
		// The stored form has a checksum of its own, which Decode checks.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return s
}

// withoutSubdomains reports whether an endpoint is an address or a plain host name,
// below which a bucket has no name of its own.
func withoutSubdomains(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil || !strings.Contains(u.Hostname(), ".")
}

// Permissions are the IAM actions this store calls (Service Authorization Reference,
// Amazon S3). Each is declared beside its call. A bucket encrypted with a key of KMS
// needs kms:Decrypt and kms:GenerateDataKey on that key besides.
var Permissions = []awsapi.Permission{getObject, listBucket, putObject, putDamaged}

// Load returns the newest inventory: the copy in memory, which may be newer than the
// object, with what the object knows better if it changed; nil if there is neither.
// An object that cannot be understood is set aside under another key, logged, and
// counts as none: the inventory is rebuilt from ECR. With an error the copy in
// memory is returned, if there is one.
func (s *S3) Load(ctx context.Context) (*inventory.Registry, error) {
	s.answer = nil
	if err := s.pull(ctx); err != nil {
		return s.registry, fmt.Errorf("loading the state %s: %w", s, s.explain(err))
	}
	return s.registry, nil
}

// Read returns what the object holds and changes nothing: nil if there is no object,
// an error that matches inventory.ErrFormat if it cannot be understood.
func (s *S3) Read(ctx context.Context) (*inventory.Registry, error) {
	s.answer = nil
	object, err := s.get(ctx, "")
	if err = errors.Join(err, object.damage); err != nil {
		return nil, fmt.Errorf("reading the state %s: %w", s, s.explain(err))
	}
	return object.registry, nil
}

// Save makes the registry the copy in memory and writes it to the object. What
// another environment wrote there since is merged into the registry first.
func (s *S3) Save(ctx context.Context, registry *inventory.Registry) error {
	s.registry, s.answer = registry, nil
	for n := 1; ; n++ {
		err := s.put(ctx)
		if err == nil {
			return nil
		}
		if isLost(err) && n < saves {
			if err = pause(ctx, n); err == nil {
				err = s.pull(ctx)
			}
			if err == nil {
				continue
			}
		}
		return fmt.Errorf("saving the state %s: %w", s, s.explain(err))
	}
}

// String returns the object's URL.
func (s *S3) String() string { return "s3://" + s.bucket + "/" + s.key }

// pull takes over into the copy in memory what the object knows better.
func (s *S3) pull(ctx context.Context) error {
	object, err := s.get(ctx, s.etag)
	if err != nil {
		return err
	}
	if object.damage != nil {
		s.setAside(ctx, object)
	}
	s.registry, s.etag = merged(ctx, s.registry, object.registry, s.log), object.etag
	return nil
}

// object is a version of the object. Without a registry it is the known version, or
// there is no object, or it is damaged.
type object struct {
	registry *inventory.Registry
	etag     string
	damage   error
}

var (
	getObject = awsapi.Permission{Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/KEY"}
	// Without it S3 answers AccessDenied for an object that does not exist.
	listBucket = awsapi.Permission{Action: "s3:ListBucket", Resource: "arn:aws:s3:::BUCKET"}
)

// get reads the object, unless its version is the known one.
func (s *S3) get(ctx context.Context, known string) (object, error) {
	for n := 1; ; n++ {
		object, broken, err := s.getOnce(ctx, known)
		if err == nil || !broken || n == reads || pause(ctx, n) != nil {
			return object, err
		}
	}
}

// getOnce is get; broken says that an answer began and did not come to its end.
func (s *S3) getOnce(ctx context.Context, known string) (o object, broken bool, err error) {
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &s.key}
	if known != "" {
		in.IfNoneMatch = &known
	}
	out, err := s.api.GetObject(ctx, in)
	switch {
	case isUnchanged(err):
		return object{etag: known}, false, nil
	case isMissing(err):
		return object{}, false, nil
	case isDenied(err):
		return object{}, false, fmt.Errorf("%w (S3 says so of an object that does not exist too, where s3:ListBucket is not permitted)", err)
	case err != nil:
		return object{}, false, err
	}
	defer out.Body.Close()
	o.etag = aws.ToString(out.ETag)
	// The form is read as it arrives: it is never in memory as a whole.
	o.registry, err = inventory.Decode(bufio.NewReaderSize(out.Body, 64<<10))
	if errors.Is(err, inventory.ErrFormat) {
		o.damage, err = err, nil
	}
	return o, err != nil, err
}

var putObject = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY"}

// put writes the copy in memory in place of the known version.
func (s *S3) put(ctx context.Context) error {
	file, err := spool(s.registry)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: &s.key, Body: file, ContentType: aws.String("application/gzip")}
	if s.etag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &s.etag
	}
	out, err := s.api.PutObject(ctx, in)
	if err != nil {
		return err
	}
	s.etag = aws.ToString(out.ETag)
	return nil
}

var putDamaged = awsapi.Permission{Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/KEY" + damagedSuffix}

// setAside copies an object that is not ours, or not whole, to another key; the next
// save replaces it. Only the newest such object is kept. That it cannot be copied
// does not stand in the way.
func (s *S3) setAside(ctx context.Context, damaged object) {
	aside := s.key + damagedSuffix
	_, err := s.api.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &s.bucket, Key: &aside,
		CopySource:        aws.String(copySource(s.bucket, s.key)),
		CopySourceIfMatch: &damaged.etag,
		// Copying tags would need permissions of its own.
		TaggingDirective: types.TaggingDirectiveReplace,
	})
	if err != nil {
		s.log.WarnContext(ctx, "the state cannot be used, nor be set aside: the inventory is rebuilt, and replaces it",
			slog.String("object", s.String()), slog.Any("error", damaged.damage), slog.Any("copying", err))
		return
	}
	s.log.WarnContext(ctx, "the state cannot be used: it is set aside, and the inventory is rebuilt",
		slog.String("object", s.String()), slog.String("aside", s.String()+damagedSuffix), slog.Any("error", damaged.damage))
}

// copySource names an object in a header, where S3 takes + for a space.
func copySource(bucket, key string) string {
	return strings.ReplaceAll((&url.URL{Path: bucket + "/" + key}).EscapedPath(), "+", "%2B")
}

// spool writes the stored form to a temporary file, which the caller closes and
// removes: a request has to say its length and checksum beforehand, and may have to
// be sent again, and memory for a second copy is just what is scarce.
func spool(registry *inventory.Registry) (*os.File, error) {
	file, err := os.CreateTemp("", "ecr-remote-write-state-*")
	if err != nil {
		return nil, err
	}
	if err = encode(file, registry); err == nil {
		_, err = file.Seek(0, 0)
	}
	if err != nil {
		file.Close()
		_ = os.Remove(file.Name())
		return nil, fmt.Errorf("spooling: %w", err)
	}
	return file, nil
}

// pause waits a moment that is longer the more often it was waited, and other than
// that of others who wait for the same.
func pause(ctx context.Context, n int) error {
	longest := min(maxPause, firstPause<<min(n-1, 10))
	timer := time.NewTimer(rand.N(longest) + 1)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
