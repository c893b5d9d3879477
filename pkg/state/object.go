package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// Object is a small file, or an object in S3, that is read and replaced as a whole. The last
// write wins: unlike a Store it merges nothing, so it is for one writer at a time.
type Object interface {
	// String returns its URL.
	String() string
	// Read returns the content; nil if the object does not exist. One above MaxObject is an
	// error.
	Read(ctx context.Context) ([]byte, error)
	// Write replaces the content, or makes the object.
	Write(ctx context.Context, content []byte) error
}

// MaxObject bounds the content of an Object, in bytes.
const MaxObject = 16 << 20

// ObjectPermissions are the IAM actions that an Object in S3 needs for reading and writing.
// Without s3:ListBucket S3 denies reading one that does not exist.
var ObjectPermissions = []awsapi.Permission{getObject, putObject}

// NewS3Object returns an Object in S3. It makes no call.
func NewS3Object(cfg aws.Config, bucket, key string) Object {
	return kept{object: s3Object{newAPI(cfg), bucket, key, key}}
}

// NewFileObject returns an Object in a file, whose folder is made with the first write.
func NewFileObject(path string) Object { return kept{object: file{path, path}} }

// kept is an Object in a file or in S3.
type kept struct{ object }

// Read reads the whole object.
func (k kept) Read(ctx context.Context) ([]byte, error) {
	var content []byte
	_, err := k.read(ctx, "", func(r io.Reader) (err error) {
		content, err = io.ReadAll(io.LimitReader(r, MaxObject+1))
		return err
	})
	if err == nil && len(content) > MaxObject {
		err = fmt.Errorf("it is larger than %d MiB", MaxObject>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", k, err)
	}
	return content, nil
}

// Write replaces the object.
func (k kept) Write(ctx context.Context, content []byte) error {
	if err := k.replace(ctx, content); err != nil {
		return fmt.Errorf("writing %s: %w", k, err)
	}
	return nil
}

func (f file) replace(_ context.Context, content []byte) error {
	out, err := spool(f.folder(), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	defer discard(out)
	if err := out.Sync(); err != nil {
		return err
	}
	return os.Rename(out.Name(), f.path)
}

func (o s3Object) replace(ctx context.Context, content []byte) error {
	_, err := o.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &o.bucket, Key: &o.key, Body: bytes.NewReader(content)})
	if errors.Is(err, awsapi.ErrDenied) {
		err = fmt.Errorf("%w (needs %s)", err, putObject.Action)
	}
	return err
}

// MemoryObject is an Object in memory, which lasts as long as the process. The zero value is
// one that does not exist yet. It is not safe for concurrent use.
type MemoryObject struct{ content []byte }

// String says that it is in memory.
func (*MemoryObject) String() string { return "memory" }

// Read returns a copy of the content.
func (m *MemoryObject) Read(context.Context) ([]byte, error) { return bytes.Clone(m.content), nil }

// Write keeps a copy of the content.
func (m *MemoryObject) Write(_ context.Context, content []byte) error {
	m.content = append([]byte{}, content...)
	return nil
}
