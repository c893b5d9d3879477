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
	transport, err := newTransport(c, awsCfg, secret.NewResolver(awsCfg, w.log))
	if err != nil {
		return nil, err
	}
	return remotewrite.New(remotewrite.Options{
		URL:         &c.RemoteWriteURL.URL,
		Client:      &http.Client{Transport: transport},
		Protocol:    remotewrite.Protocol(c.RemoteWriteProtocol),
		Timeout:     time.Duration(c.RemoteWriteTimeout),
		MaxBytes:    c.RemoteWriteMaxBytes,
		MaxSeries:   c.RemoteWriteMaxSeries,
		Concurrency: c.RemoteWriteConcurrency,
		Discard:     w.print,
		Version:     versionText(),
		Logger:      w.log,
	})
}

// newTransport puts the layers of authentication on each other: connections with
// their certificates, then the method, then headers, which a signature is to cover.
func newTransport(c *config.Config, awsCfg aws.Config, secrets *secret.Resolver) (http.RoundTripper, error) {
	return nil, fmt.Errorf("%s", cmp.Or("todo"))
}

var _ = auth.Actions
