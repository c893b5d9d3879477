// Package auth authenticates requests to the remote-write endpoint: one
// http.RoundTripper a method. They stand below the sender's retry loop, so
// every attempt is authenticated anew.
//
// From the top: Headers, then one of SigV4, Basic and Bearer, then TLS on the
// transport. None makes a call or reads a secret before its first request, follows a
// redirect, or authenticates a request that does.
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
	"sync"
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
	below
	credentials aws.CredentialsProvider
	region      string
	signer      *v4.Signer
	exchange    exchange[aws.Credentials]

	mu          sync.Mutex
	invalidated time.Time // when the credentials last were
}

// NewSigV4 returns a RoundTripper that signs for AMP in the given region with
// the credentials that the provider has at that moment, then calls next.
// A nil next is http.DefaultTransport.
//
// If the receiver says that the credentials have expired and the provider has a
// method Invalidate, as AssumeRole's and any *aws.CredentialsCache, it is called, at
// most once a minute.
func NewSigV4(region string, credentials aws.CredentialsProvider, next http.RoundTripper) (*SigV4, error) {
	if region == "" {
		return nil, errors.New("setting up SigV4: no region to sign for")
	}
	if credentials == nil {
		return nil, errors.New("setting up SigV4: no credentials provider")
	}
	s := &SigV4{below: newBelow(next), credentials: credentials, region: region, signer: v4.NewSigner()}
	s.exchange = exchange[aws.Credentials]{
		current: s.retrieve,
		same: func(a, b aws.Credentials) bool {
			return a.AccessKeyID == b.AccessKeyID && a.SessionToken == b.SessionToken && a.SecretAccessKey == b.SecretAccessKey
		},
		send:    s.send,
		refused: s.refused,
		failed:  s.failed,
	}
	return s, nil
}

// RoundTrip implements http.RoundTripper. The request itself is not changed: a
// clone is signed. An error of its own is a *SigningError.
func (s *SigV4) RoundTrip(req *http.Request) (*http.Response, error) {
	return s.exchange.do(req)
}
func (*SigV4) setsAuthorization() {}

func (s *SigV4) failed(req *http.Request, err error) error {
	return &SigningError{Host: req.URL.Host, Region: s.region, Err: err}
}

func (s *SigV4) retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return creds, fmt.Errorf("getting AWS credentials: %w", err)
	}
	return creds, nil
}

// send signs req and hands it on.
func (s *SigV4) send(req *http.Request, creds aws.Credentials) (*http.Response, error) {
	sum, err := hashBody(req)
	if err != nil {
		closeBody(req)
		return nil, s.failed(req, fmt.Errorf("hashing the body: %w", err))
	}
	if err := s.signer.SignHTTP(req.Context(), creds, req, sum, Service, s.region, time.Now()); err != nil {
		closeBody(req)
		return nil, s.failed(req, fmt.Errorf("computing the signature: %w", err))
	}
	return s.next.RoundTrip(req)
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
