package auth

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// RolePermissions are the IAM actions that AssumeRole needs. The role has to trust the
// function's role, and needs Permissions.
var RolePermissions = []awsapi.Permission{{Action: "sts:AssumeRole", Resource: "arn:aws:iam::ACCOUNT:role/NAME"}}

const (
	// sessionName is how this program appears in the CloudTrail of the role's account.
	sessionName = "ecr-remote-write"
	// sessionDuration is the longest that a role assumed with another role's
	// credentials, as a function's are, may have.
	// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	sessionDuration = time.Hour
	// expiryWindow is how long before their end credentials are replaced. It need only
	// cover one request and the difference of two clocks.
	expiryWindow = time.Minute
)

// RoleRefused reports whether an error is STS's refusal: the role does not exist, or does not trust
// the caller.
func RoleRefused(err error) bool {
	api := smithy.APIError(nil)
	return errors.As(err, &api) && api.ErrorCode() == "AccessDenied"
}

// AssumeRole returns a provider of a role's credentials. It calls STS in cfg's Region
// with cfg's credentials, with the first use and again a minute before they expire. An
// empty external id is none.
func AssumeRole(cfg aws.Config, roleARN, externalID string) *aws.CredentialsCache {
	// Responses hold the credentials, so they are never logged.
	cfg.ClientLogMode &^= aws.LogSigning | aws.LogRequest | aws.LogRequestWithBody | aws.LogResponse | aws.LogResponseWithBody
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		o.Duration = sessionDuration
		if externalID != "" {
			o.ExternalID = &externalID
		}
	})
	return aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow })
}
