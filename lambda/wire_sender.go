package main

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// newSender puts the sender together. Secrets are read when the first request needs
// them.
func newSender(c *config.Config, awsCfg aws.Config, w wiring) (*remotewrite.Sender, error) {
	o := remotewrite.Options{
		URL:         &c.RemoteWriteURL.URL,
		Protocol:    remotewrite.Protocol(c.RemoteWriteProtocol),
		Timeout:     time.Duration(c.RemoteWriteTimeout),
		MaxBytes:    c.RemoteWriteMaxBytes,
		MaxSeries:   c.RemoteWriteMaxSeries,
		Concurrency: c.RemoteWriteConcurrency,
		Version:     versionText(),
		Logger:      w.log,
	}
	if w.print {
		o.Discard = true
		return remotewrite.New(o)
	}
	transport, err := newTransport(c, awsCfg, secrets{secret.NewResolver(awsCfg, w.log)})
	if err != nil {
		return nil, fmt.Errorf("setting up the requests to the endpoint: %w", err)
	}
	o.Client = &http.Client{Transport: transport}
	return remotewrite.New(o)
}

// newTransport puts the layers of authentication on each other: connections with
// their certificates, then the method, then headers, which a signature is to cover.
func newTransport(c *config.Config, awsCfg aws.Config, s secrets) (transport http.RoundTripper, err error) {
	if transport, err = newConnections(c, s); err != nil {
		return nil, err
	}
	switch c.RemoteWriteAuth {
	case config.AuthSigV4:
		// The Region is the endpoint's; failing that the one the AWS
		// configuration resolved, which need not come from a variable.
		region := cmp.Or(string(c.RemoteWriteRegion), awsCfg.Region)
		credentials := awsCfg.Credentials
		if c.RemoteWriteRoleARN != "" {
			credentials = auth.AssumeRole(awsCfg, string(c.RemoteWriteRoleARN), string(c.RemoteWriteRoleExternalID))
		}
		transport, err = auth.NewSigV4(region, credentials, transport)
	case config.AuthBasic:
		var password auth.Secret
		if password, err = s.of(c.RemoteWritePassword); err == nil {
			transport, err = auth.NewBasic(c.RemoteWriteUsername, password, transport)
		}
	case config.AuthBearer:
		var token auth.Secret
		if token, err = s.of(c.RemoteWriteBearerToken); err == nil {
			transport, err = auth.NewBearer(token, transport)
		}
	}
	if err != nil || len(c.RemoteWriteHeaders) == 0 {
		return transport, err
	}
	headers := make([]auth.Header, len(c.RemoteWriteHeaders))
	for i, h := range c.RemoteWriteHeaders {
		headers[i].Name = h.Name
		if headers[i].Value, err = s.of(h.Value); err != nil {
			return nil, err
		}
	}
	return auth.NewHeaders(headers, transport)
}

// newConnections are connections with what they need of certificates.
func newConnections(c *config.Config, s secrets) (http.RoundTripper, error) {
	connections := remotewrite.NewTransport(c.RemoteWriteConcurrency)
	var o auth.TLSOptions
	for _, part := range []struct {
		text   config.Secret
		secret *auth.Secret
	}{
		{c.RemoteWriteCA, &o.CA},
		{c.RemoteWriteClientCertificate, &o.Certificate},
		{c.RemoteWriteClientKey, &o.Key},
	} {
		var err error
		if *part.secret, err = s.of(part.text); err != nil {
			return nil, err
		}
	}
	if o == (auth.TLSOptions{}) {
		return connections, nil
	}
	return auth.NewTLS(connections, o)
}

// secrets makes the texts of the configuration, of which some only say where to read
// them, into what the methods of authentication use.
type secrets struct{ *secret.Resolver }

func (s secrets) of(text config.Secret) (auth.Secret, error) {
	if !text.IsSet() {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong with that
	}
	return s.Secret(text.Reveal())
}
