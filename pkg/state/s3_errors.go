package state

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Error codes of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
const (
	noSuchKey = "NoSuchKey"
	// A condition that does not hold (412), and one that a write under way at the
	// same time leaves open (409).
	preconditionFailed         = "PreconditionFailed"
	conditionalRequestConflict = "ConditionalRequestConflict"
)

// isUnchanged reports whether the object's version is the known one. S3 says so
// without a code.
func isUnchanged(err error) bool { return statusOf(err) == http.StatusNotModified }

// isMissing reports whether there is no such object in the bucket, which exists.
func isMissing(err error) bool { return codeOf(err) == noSuchKey }

func isDenied(err error) bool { return statusOf(err) == http.StatusForbidden }

// isLost reports whether a write was refused because the object is not the version
// that was read: it was written, or deleted, since.
func isLost(err error) bool {
	code := codeOf(err)
	return code == preconditionFailed || code == conditionalRequestConflict || code == noSuchKey
}

// note remembers the answer to a request that failed. It says nothing of whether the
// request is made again. That an object is unchanged, or not there, is no failure.
func (s *S3) note(err error) aws.Ternary {
	if !isOver(err) && !isUnchanged(err) && !isMissing(err) {
		s.answer = err
	}
	return aws.UnknownTernary
}

// explain adds the last answer to an error that says only that the time is over.
func (s *S3) explain(err error) error {
	if s.answer == nil || !isOver(err) || errors.Is(err, s.answer) {
		return err
	}
	return fmt.Errorf("%w (the last answer was: %w)", err, s.answer)
}

func isOver(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func statusOf(err error) int {
	if response := (*awshttp.ResponseError)(nil); errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

func codeOf(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
