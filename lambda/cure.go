package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// explain adds to an error what a person can do about it, on a line of its own.
func explain(c *config.Config, err error) error {
	if text := cure(c, err); text != "" {
		return fmt.Errorf("%w\n  %s", err, text)
	}
	return err
}

// cure returns what to do about an error, as docs/troubleshooting.md does; empty if unknown.
func cure(c *config.Config, err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException":
			return "AWS does not accept the credentials, which may have expired: " + logIn
		}
	}
	delivery, ok := errors.AsType[*remotewrite.DeliveryError](err)
	if !ok {
		return ""
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](delivery)
	switch {
	case untrusted:
		return "The endpoint's certificate is not trusted: set REMOTE_WRITE_CA to the certificate of its authority (file:PATH), or correct the host in REMOTE_WRITE_URL."
	case errors.Is(delivery, http.ErrSchemeMismatch):
		return "The endpoint does not use TLS: begin REMOTE_WRITE_URL with http://, or correct its port."
	case operation(delivery) == "remote error":
		return "The endpoint ended the TLS handshake, most often because it requires a client certificate: set REMOTE_WRITE_CLIENT_CERTIFICATE and REMOTE_WRITE_CLIENT_KEY (file:PATH)."
	case operation(delivery) == "dial":
		return "Nothing can be reached there: correct the host and port of REMOTE_WRITE_URL, or start the endpoint."
	case delivery.Status == http.StatusNotFound:
		return "The path of REMOTE_WRITE_URL is wrong: most endpoints have /api/v1/write, AMP /workspaces/ID/api/v1/remote_write."
	case delivery.Status == http.StatusUnauthorized, delivery.Status == http.StatusForbidden:
		return unauthorized[c.RemoteWriteAuth]
	}
	return ""
}

// operation is the network operation that an error is of; empty if of none. "remote error" is
// an alert that ended a TLS handshake.
func operation(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op
	}
	return ""
}

// unauthorized is what to do about a 401 or 403.
var unauthorized = map[auth.Method]string{
	auth.SigV4:  "The AWS identity needs aps:RemoteWrite on the workspace. Or the requests are signed for another Region than the workspace's: set REMOTE_WRITE_REGION. A workspace of another account needs REMOTE_WRITE_ROLE_ARN or a resource policy.",
	auth.Basic:  "The user name or password is wrong: correct REMOTE_WRITE_USERNAME and REMOTE_WRITE_PASSWORD.",
	auth.Bearer: "The token is wrong or has expired: correct REMOTE_WRITE_BEARER_TOKEN.",
	auth.None:   "Requests are sent without authentication: set REMOTE_WRITE_AUTH to sigv4, or set REMOTE_WRITE_USERNAME and REMOTE_WRITE_PASSWORD, REMOTE_WRITE_BEARER_TOKEN or REMOTE_WRITE_HEADERS.",
}

const logIn = `log in ("aws sso login"), set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`

// checkCredentials returns an error with what to do if there are no AWS credentials.
func checkCredentials(ctx context.Context, awsCfg aws.Config) error {
	_, err := awsCfg.Credentials.Retrieve(ctx)
	if err == nil {
		return nil
	}
	// The instance metadata are asked if nothing else is configured. That they have none
	// says nothing to somebody at a laptop.
	if op, ok := errors.AsType[*smithy.OperationError](err); ok && op.Service() == "ec2imds" {
		return errors.New("no AWS credentials: " + logIn)
	}
	return fmt.Errorf("no AWS credentials: %s (%w)", logIn, err)
}
