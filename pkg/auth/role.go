package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// RoleActions are the IAM actions that AssumeRole needs, on the role. The role has
// to trust the function's role, and needs Actions.
var RoleActions = []string{"sts:AssumeRole"}

// SessionName is what this program is called in the CloudTrail of the role's account.
const SessionName = "ecr-remote-write"

const (
	// roleDuration is what any role allows, and the most that one assumed from
	// another role's credentials, as a function's are, may have.
	// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	roleDuration = time.Hour
	// roleWindow is how long before they expire credentials are asked for anew.
	// There is time for further attempts while the old ones still serve.
	roleWindow = 5 * time.Minute
	// roleTime bounds one call, retries included.
	roleTime = 8 * time.Second
	// roleFailure is how long a failure stands for further callers.
	roleFailure = 5 * time.Second
)

// AssumeRole returns a provider of the credentials of a role. It asks STS in cfg's
// Region with cfg's credentials, on first use and again five minutes before what it
// has expires; all who ask at the same time wait for one call. If asking anew fails
// the old credentials serve until they expire. An empty external id is none.
func AssumeRole(cfg aws.Config, roleARN, externalID string) *aws.CredentialsCache {
	// The answers hold what must not be logged.
	cfg.ClientLogMode &^= aws.LogSigning | aws.LogRequest | aws.LogRequestWithBody | aws.LogResponse | aws.LogResponseWithBody
	r := &role{arn: roleARN}
	r.provider = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = SessionName
		o.Duration = roleDuration
		if externalID != "" {
			o.ExternalID = &externalID
		}
	})
	return aws.NewCredentialsCache(r, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = roleWindow })
}

// role is what the cache of AssumeRole asks, one call at a time.
type role struct {
	arn      string
	provider *stscreds.AssumeRoleProvider

	mu      sync.Mutex
	expires time.Time // when the last credentials really do
	err     error
	failed  time.Time
}

var _ aws.HandleFailRefreshCredentialsCacheStrategy = (*role)(nil)

// Retrieve assumes the role.
func (r *role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && time.Since(r.failed) < roleFailure {
		return aws.Credentials{}, r.err
	}
	// The context of the cache has no end of its own.
	ctx, cancel := context.WithTimeout(ctx, roleTime)
	defer cancel()
	creds, err := r.provider.Retrieve(ctx)
	if err != nil {
		r.err, r.failed = fmt.Errorf("assuming the role %s: %w", r.arn, err), time.Now()
		return aws.Credentials{}, r.err
	}
	r.err, r.expires = nil, creds.Expires
	return creds, nil
}

// HandleFailToRefresh is the cache's question what to do without new credentials:
// the old ones are good until they really expire. The cache, which takes its window
// off again, goes on asking for new ones.
func (r *role) HandleFailToRefresh(_ context.Context, old aws.Credentials, err error) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !old.HasKeys() || !time.Now().Before(r.expires) {
		return aws.Credentials{}, err
	}
	old.Expires = r.expires
	return old, nil
}
