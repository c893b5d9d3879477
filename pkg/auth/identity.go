package auth

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Identity returns the account and the partition of cfg's credentials, such as aws or aws-cn. It
// asks STS in cfg's Region, which needs no permission.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func Identity(ctx context.Context, cfg aws.Config) (account, partition string, err error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", fmt.Errorf("reading the caller's identity: %w", err)
	}
	caller, err := arn.Parse(aws.ToString(out.Arn))
	if err != nil {
		return "", "", fmt.Errorf("reading the caller's identity: %w", err)
	}
	return caller.AccountID, caller.Partition, nil
}
