// Package awsapi is how the AWS APIs are called: a rate limit for each operation,
// retries, counts of requests, bounds of responses, what kinds of errors there are, and
// IAM permissions.
//
// It knows no service's operations or records. Those are in pkg/ecr and
// pkg/inspector.
package awsapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
)

// Configure returns a copy of cfg for clients whose calls are limited and counted by
// l, retried as newRetryer says, and whose errors match the kinds of this package.
func (l *Limiter) Configure(cfg aws.Config) aws.Config {
	cfg.Retryer = newRetryer
	cfg.APIOptions = append(slices.Clip(cfg.APIOptions), l.register)
	return cfg
}

// ConfigureBounded is Configure for clients whose responses have up to maxResponse bytes.
func (l *Limiter) ConfigureBounded(cfg aws.Config, maxResponse int) aws.Config {
	cfg = l.Configure(cfg)
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(&boundResponse{l.alone, maxResponse}, middleware.After)
	})
	return cfg
}

// register adds the middleware of one call: the SDK builds a stack for each call and
// names it after the operation.
func (l *Limiter) register(stack *middleware.Stack) error {
	c := &call{limit: l.of(stack.ID())}
	if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("ClassifyError", c.initialize), middleware.Before); err != nil {
		return err
	}
	// Below the SDK's retry, so that a retry waits for the rate limit too.
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("LimitAttempts", c.attempt), "Retry", middleware.After)
}

// call is one call of an operation, with all its attempts.
type call struct {
	limit *limit
	last  error // of the last attempt that was not cut short by the context
}

func (c *call) initialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleInitialize(ctx, in)
	return out, metadata, classify(ctx, err, c.last)
}

func (c *call) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	if err := c.limit.wait(ctx); err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, err
	}
	out, metadata, err := guarded(ctx, in, next)
	c.limit.record(err)
	if err != nil && ctx.Err() == nil {
		c.last = err
	}
	return out, metadata, err
}

// guarded makes an attempt in which a panic, as of a decoder that a response confuses, is
// an error of the call: it must not take the other calls of the run with it.
func guarded(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the AWS SDK panicked: %v", cause)
		}
	}()
	return next.HandleFinalize(ctx, in)
}
