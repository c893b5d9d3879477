package main

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// runDump writes the stored inventory as JSON lines to standard output. It changes
// nothing, and needs no endpoint.
func runDump(ctx context.Context, environ []string, stdout, stderr io.Writer) error {
	c, err := config.Load(environ, config.ToPrint)
	if err != nil {
		return err
	}
	log := newLogger(stderr, c, environ, nil)
	var awsCfg aws.Config
	if c.StateURL.Bucket != "" {
		if awsCfg, err = awsConfig(ctx, c, log); err != nil {
			return err
		}
	}
	store, ok := newStore(c, awsCfg, log).(interface {
		Read(ctx context.Context) (*inventory.Registry, error)
	})
	if !ok {
		return config.Faults{{Variable: "STATE_URL", Value: c.StateURL.String(), Rule: "what outlives the program, to dump: file:///path or s3://bucket/key"}}
	}
	registry, err := store.Read(ctx)
	if err != nil {
		return err
	}
	if registry == nil {
		return fmt.Errorf("there is no state %s", c.StateURL)
	}
	return inventory.WriteJSON(ctx, stdout, registry)
}
