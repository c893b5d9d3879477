package main

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// runDump writes the stored inventory to stdout as JSON lines. It changes nothing and needs
// no endpoint.
func runDump(ctx context.Context, environ []string, stdout, stderr io.Writer) error {
	c, err := config.Load(environ, config.ToPrint)
	if err != nil {
		return err
	}
	log := newLogger(stderr, c, environ, nil)
	var awsCfg aws.Config
	if c.StateURL.Bucket != "" {
		if awsCfg, err = awsConfig(ctx, c, log); err == nil {
			err = checkCredentials(ctx, awsCfg)
		}
		if err != nil {
			return err
		}
	}
	store, ok := newStore(c, forObjects(awsCfg), log).(*state.Store)
	if !ok {
		return config.Faults{{Variable: "STATE_URL", Value: c.StateURL.String(), Rule: "file:///path or s3://bucket/key for -dump"}}
	}
	registry, err := store.Read(ctx)
	if err != nil {
		return err
	}
	if registry == nil {
		return fmt.Errorf("no state is stored at %s", store)
	}
	return inventory.WriteJSON(ctx, stdout, registry)
}
