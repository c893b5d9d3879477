// Package auth authenticates requests to the remote-write endpoint: one
// http.RoundTripper a method. They stand below the sender's retry loop, so
// every attempt is authenticated anew.
package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Actions are the IAM actions that a request signed by SigV4 needs for the
// AMP workspace it is sent to. template.yaml is held against them.
// See https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-RemoteWrite.html
var Actions = []string{"aps:RemoteWrite"}

// Service is the name that Amazon Managed Service for Prometheus (AMP) has in
// a signature's credential scope.
const Service = "aps"

// maxBuffered bounds what is held of a body that cannot be had twice. Remote
// write bodies always can (they have GetBody); AMP takes at most 1 MB anyway.
const maxBuffered = 16 << 20

// SigV4 signs requests with AWS Signature Version 4 and hands them on.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
//
// Every header that is present when the request arrives is signed, except those
// that the AWS SDK leaves out (Authorization, User-Agent, X-Amzn-Trace-Id,
// Expect, Transfer-Encoding). So whatever sets headers stands above it.
type SigV4 struct {
	credentials aws.CredentialsProvider
	region      string
	next        http.RoundTripper
	signer      *v4.Signer
}

// NewSigV4 returns a RoundTripper that signs for AMP in the given region with
// the credentials that the provider has at that moment, then calls next.
// A nil next is http.DefaultTransport.
func NewSigV4(region string, credentials aws.CredentialsProvider, next http.RoundTripper) (*SigV4, error) {
	if region == "" {
		return nil, errors.New("setting up SigV4: no region to sign for")
	}
	if credentials == nil {
		return nil, errors.New("setting up SigV4: no credentials provider")
	}
	if next == nil {
		next = http.DefaultTransport
	}
	return &SigV4{credentials: credentials, region: region, next: next, signer: v4.NewSigner()}, nil
}

// RoundTrip implements http.RoundTripper. The request itself is not changed: a
// clone is signed. An error of its own is a *SigningError.
func (s *SigV4) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := s.sign(req)
	if err != nil {
		// A RoundTripper closes the body, even when it fails.
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &SigningError{Host: req.URL.Host, Region: s.region, Err: err}
	}
	return s.next.RoundTrip(signed)
}

func (s *SigV4) sign(req *http.Request) (*http.Request, error) {
	creds, err := s.credentials.Retrieve(req.Context())
	if err != nil {
		return nil, fmt.Errorf("getting AWS credentials: %w", err)
	}
	clone := req.Clone(req.Context())
	sum, err := hashBody(clone)
	if err != nil {
		return nil, fmt.Errorf("hashing the body: %w", err)
	}
	err = s.signer.SignHTTP(req.Context(), creds, clone, sum, Service, s.region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("computing the signature: %w", err)
	}
	return clone, nil
}

// hashBody returns the lower-case hex SHA-256 of the body and leaves req with a
// body that is yet to be read.
func hashBody(req *http.Request) (string, error) {
	h := sha256.New()
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case req.GetBody != nil:
		body, err := req.GetBody()
		if err != nil {
			return "", fmt.Errorf("getting a second copy: %w", err)
		}
		_, err = io.Copy(h, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return "", err
		}
	default:
		data, err := io.ReadAll(io.LimitReader(req.Body, maxBuffered+1))
		if err != nil {
			return "", err
		}
		if len(data) > maxBuffered {
			return "", fmt.Errorf("it has no GetBody and is longer than %d bytes", maxBuffered)
		}
		if err := req.Body.Close(); err != nil {
			return "", err
		}
		h.Write(data)
		req.Body = io.NopCloser(bytes.NewReader(data))
		req.ContentLength = int64(len(data))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// SigningError says that a request could not be signed, so it never left.
type SigningError struct {
	// Host is where the request was to go.
	Host string
	// Region is the region it was to be signed for.
	Region string
	// Err is the cause.
	Err error
}

// Error names what was being done.
func (e *SigningError) Error() string {
	return fmt.Sprintf("signing a request to %s (SigV4, service %s, region %s): %v", e.Host, Service, e.Region, e.Err)
}

// Unwrap returns the cause.
func (e *SigningError) Unwrap() error { return e.Err }

// Permanent reports whether asking again is of no use. The credential providers
// of the SDK retry by themselves, so what they return is final, unless the
// request merely ran out of time.
func (e *SigningError) Permanent() bool {
	return !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled)
}
