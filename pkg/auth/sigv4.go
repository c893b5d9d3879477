package auth

import (
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

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// Permissions are the IAM actions that signed requests to an AMP workspace need.
// See https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-RemoteWrite.html
var Permissions = []awsapi.Permission{{Action: "aps:RemoteWrite", Resource: "arn:aws:aps:REGION:ACCOUNT:workspace/WORKSPACE-ID"}}

// service is the name of Amazon Managed Service for Prometheus (AMP) in a signature.
const service = "aps"

// invalidateInterval is the least time between two invalidations of credentials.
const invalidateInterval = time.Minute

type sigV4 struct {
	layer
	region      string
	credentials aws.CredentialsProvider
	signer      *v4.Signer

	mu          sync.Mutex
	invalidated time.Time
}

// NewSigV4 returns a RoundTripper that signs requests to AMP in a region with the
// credentials that the provider has at that moment, then calls next.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
//
// It signs every header that the request has by then, except those that the AWS SDK
// leaves out (Authorization, User-Agent, X-Amzn-Trace-Id, Expect, Transfer-Encoding).
// The body is read twice: a request with a body needs GetBody.
//
// A 403 may mean that the session has expired, so the next request asks the provider
// for new credentials if it can Invalidate, as an *aws.CredentialsCache, at most once a
// minute.
func NewSigV4(region string, credentials aws.CredentialsProvider, next http.RoundTripper) (http.RoundTripper, error) {
	if region == "" || credentials == nil {
		return nil, errors.New("setting up SigV4: no region to sign for, or no credentials")
	}
	return &sigV4{layer: layer{next: next}, region: region, credentials: credentials, signer: v4.NewSigner()}, nil
}

// RoundTrip implements http.RoundTripper.
func (s *sigV4) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := refuseRedirect(req); err != nil {
		return nil, notSent(req, err)
	}
	signed := req.Clone(req.Context())
	if err := s.sign(req.Context(), signed); err != nil {
		closeBody(req)
		// Permanent, as the SDK's providers retry by themselves.
		return nil, permanentError{fmt.Errorf("signing a request to %s (SigV4, service %s, region %s): %w", req.URL.Host, service, s.region, err)}
	}
	resp, err := s.next.RoundTrip(signed)
	if err == nil && unauthorized(resp) {
		s.invalidate()
	}
	return resp, err
}

func (s *sigV4) sign(ctx context.Context, req *http.Request) error {
	// What traces the request (net/http/httptrace) is not for those to STS: only the end of
	// its context is.
	retrieval, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	credentials, err := s.credentials.Retrieve(retrieval) //nolint:contextcheck // as above
	if err != nil {
		return fmt.Errorf("getting AWS credentials: %w", err)
	}
	sum, err := hashBody(req)
	if err != nil {
		return fmt.Errorf("hashing the body: %w", err)
	}
	return s.signer.SignHTTP(ctx, credentials, req, sum, service, s.region, time.Now())
}

func (s *sigV4) invalidate() {
	cache, ok := s.credentials.(interface{ Invalidate() })
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok && time.Since(s.invalidated) >= invalidateInterval {
		s.invalidated = time.Now()
		cache.Invalidate()
	}
}

// hashBody returns the SHA-256 of a second copy of the body, in lower-case hex.
func hashBody(req *http.Request) (string, error) {
	h := sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return "", errors.New("the request has no GetBody")
		}
		body, err := req.GetBody()
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
