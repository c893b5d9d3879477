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
	"github.com/aws-exporters/ecr-remote-write/pkg/running"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// newSender wires the sender up. Secrets are read when the first request needs them.
func newSender(c *config.Config, awsCfg aws.Config, resolver *secret.Resolver, w wiring) (*remotewrite.Sender, error) {
	o := remotewrite.Options{
		URL:         &c.RemoteWriteURL.URL,
		Protocol:    c.RemoteWriteProtocol,
		Timeout:     time.Duration(c.RemoteWriteTimeout),
		MaxBytes:    c.RemoteWriteMaxBytes,
		MaxSeries:   c.RemoteWriteMaxSeries,
		Concurrency: c.RemoteWriteConcurrency,
		Version:     versionText(),
		Logger:      w.log,
	}
	if w.laptop != nil {
		o.UnreachableFor, o.Progress = unreachableFor, w.laptop.pushing
	}
	if w.print {
		o.Discard = true
		return remotewrite.New(o)
	}
	transport, err := newTransport(c, awsCfg, secrets{resolver}, w.transport)
	if err != nil {
		return nil, fmt.Errorf("setting up the requests to the endpoint: %w", err)
	}
	o.Client = &http.Client{Transport: transport}
	return remotewrite.New(o)
}

// newRunning wires up the query for what runs, whose requests are those of the sender but for
// what they ask.
func newRunning(c *config.Config, awsCfg aws.Config, resolver *secret.Resolver, w wiring) (*running.Client, error) {
	transport, err := newTransport(c, awsCfg, secrets{resolver}, w.transport)
	if err != nil {
		return nil, fmt.Errorf("setting up the query for what runs: %w", err)
	}
	return running.New(running.Options{
		URL: &c.QueryURL.URL, Query: cmp.Or(c.InUseQuery, running.DefaultQuery), Transport: transport, Timeout: time.Duration(c.RemoteWriteTimeout), Version: versionText(),
	}), nil
}

// newTransport stacks the layers of authentication: connections with their certificates, or
// what stands in for them, then the method, then headers, which a signature covers.
func newTransport(c *config.Config, awsCfg aws.Config, s secrets, transport http.RoundTripper) (http.RoundTripper, error) {
	connections := remotewrite.NewTransport(c.RemoteWriteConcurrency)
	if transport == nil {
		transport = connections
	}
	var err error
	o := auth.TLSOptions{CA: s.of(c.RemoteWriteCA), Certificate: s.of(c.RemoteWriteClientCertificate), Key: s.of(c.RemoteWriteClientKey)}
	if o != (auth.TLSOptions{}) {
		if transport, err = auth.NewTLS(connections, o); err != nil {
			return nil, err
		}
	}
	switch c.RemoteWriteAuth {
	case auth.SigV4:
		// The endpoint's Region, else that of the AWS configuration, which need not
		// come from a variable.
		region := cmp.Or(string(c.RemoteWriteRegion), awsCfg.Region)
		credentials := awsCfg.Credentials
		if c.RemoteWriteRoleARN != "" {
			credentials = auth.AssumeRole(awsCfg, string(c.RemoteWriteRoleARN), string(c.RemoteWriteRoleExternalID))
		}
		transport, err = auth.NewSigV4(region, credentials, transport)
	case auth.Basic:
		transport, err = auth.NewBasic(c.RemoteWriteUsername, s.of(c.RemoteWritePassword), transport)
	case auth.Bearer:
		transport, err = auth.NewBearer(s.of(c.RemoteWriteBearerToken), transport)
	}
	if err != nil || len(c.RemoteWriteHeaders) == 0 {
		return transport, err
	}
	headers := make([]auth.Header, len(c.RemoteWriteHeaders))
	for i, h := range c.RemoteWriteHeaders {
		headers[i] = auth.Header{Name: h.Name, Value: s.of(h.Value)}
	}
	return auth.NewHeaders(headers, transport)
}

type secrets struct{ *secret.Resolver }

// of returns the secret of a setting, nil if it is not set.
func (s secrets) of(text secret.Text) auth.Secret {
	if !text.IsSet() {
		return nil
	}
	return s.Secret(text)
}
