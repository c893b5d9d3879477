package ecrtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// principalARN is the pattern of PrincipalArn in the service model.
var principalARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`)

const (
	// maxPrincipal is the length of PrincipalArn in the service model.
	maxPrincipal = 200
	// maxExclusions is the quota of an account, and the length of a list in a response.
	maxExclusions = 100
)

func checkPrincipal(arn *string) error {
	switch {
	case arn == nil:
		return invalid("principalArn", "must not be null")
	case len(*arn) > maxPrincipal:
		return invalid("principalArn", fmt.Sprintf("Member must have length less than or equal to %d", maxPrincipal))
	case !principalARN.MatchString(*arn):
		return invalid("principalArn", "must satisfy regular expression '"+principalARN.String()+"'")
	}
	return nil
}

// SetPullTimeExclusions replaces the list of the principals, ARNs of roles and users, whose
// pulls do not move pull times.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegisterPullTimeUpdateExclusion.html
func (r *Registry) SetPullTimeExclusions(principals ...string) error {
	for i := range principals {
		if err := checkPrincipal(&principals[i]); err != nil {
			return fmt.Errorf("set pull time exclusions: %q: %w", principals[i], err)
		}
	}
	list := slices.Compact(slices.Sorted(slices.Values(principals)))
	if len(list) > maxExclusions {
		return fmt.Errorf("set pull time exclusions: %d principals, at most %d are possible", len(list), maxExclusions)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exclusions = list
	return nil
}

// PullTimeExclusions returns the list, sorted.
func (r *Registry) PullTimeExclusions() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.exclusions)
}

// excludesPullsOf reports whether the principal of a caller is in the list. The caller is an
// ARN as of GetCallerIdentity: for the session of a role it has the role's name without its
// path. The caller holds the lock.
func (r *Registry) excludesPullsOf(caller string) bool {
	name, account := principalOf(caller)
	return name != "" && slices.ContainsFunc(r.exclusions, func(arn string) bool {
		other, of := principalOf(arn)
		return other == name && of == account
	})
}

// principalOf returns kind and name, such as "role/reader", and partition and account of an
// ARN; empty if it is not of a role, a session of one or a user.
func principalOf(arn string) (name, account string) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 {
		return "", ""
	}
	path := strings.Split(fields[5], "/")
	account = fields[1] + " " + fields[4]
	switch last := path[len(path)-1]; {
	case fields[2] == "sts" && path[0] == "assumed-role" && len(path) == 3:
		return "role/" + path[1], account
	case fields[2] == "iam" && len(path) > 1 && (path[0] == "role" || path[0] == "user"):
		return path[0] + "/" + last, account
	}
	return "", ""
}

type principalInput struct {
	Principal *string `json:"principalArn"`
}

type registerExclusionOutput struct {
	Principal string  `json:"principalArn"`
	CreatedAt float64 `json:"createdAt"`
}

type deregisterExclusionOutput struct {
	Principal string `json:"principalArn"`
}

type listExclusionsInput struct {
	MaxResults *int32  `json:"maxResults"`
	NextToken  *string `json:"nextToken"`
}

type listExclusionsOutput struct {
	Principals []string `json:"pullTimeUpdateExclusions"`
	NextToken  string   `json:"nextToken,omitempty"`
}

// check returns the error for a principal that is not one, or if the caller is not allowed.
func (in *principalInput) check(c *call) error {
	if err := checkPrincipal(in.Principal); err != nil {
		return err
	}
	return c.authorize("*")
}

// registerPullTimeUpdateExclusion handles RegisterPullTimeUpdateExclusion. Like the other
// two operations on exclusions it has no registryId.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegisterPullTimeUpdateExclusion.html
func registerPullTimeUpdateExclusion(c *call, in *principalInput) (any, error) {
	if err := in.check(c); err != nil {
		return nil, err
	}
	reg := c.server.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	i, found := slices.BinarySearch(reg.exclusions, *in.Principal)
	switch {
	case found:
		return nil, newError("ExclusionAlreadyExistsException", "An exclusion of '%s' exists already in the registry with id '%s'", *in.Principal, reg.id)
	case len(reg.exclusions) == maxExclusions:
		return nil, newError("LimitExceededException", "The registry with id '%s' has %d exclusions", reg.id, maxExclusions)
	}
	reg.exclusions = slices.Insert(slices.Clone(reg.exclusions), i, *in.Principal)
	return &registerExclusionOutput{*in.Principal, epoch(toMillis(c.server.now()))}, nil
}

// deregisterPullTimeUpdateExclusion handles DeregisterPullTimeUpdateExclusion.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeregisterPullTimeUpdateExclusion.html
func deregisterPullTimeUpdateExclusion(c *call, in *principalInput) (any, error) {
	if err := in.check(c); err != nil {
		return nil, err
	}
	reg := c.server.registry
	reg.mu.Lock()
	defer reg.mu.Unlock()
	i, found := slices.BinarySearch(reg.exclusions, *in.Principal)
	if !found {
		return nil, newError("ExclusionNotFoundException", "No exclusion of '%s' exists in the registry with id '%s'", *in.Principal, reg.id)
	}
	reg.exclusions = slices.Delete(slices.Clone(reg.exclusions), i, i+1)
	return &deregisterExclusionOutput{*in.Principal}, nil
}

// listPullTimeUpdateExclusions handles ListPullTimeUpdateExclusions.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListPullTimeUpdateExclusions.html
func listPullTimeUpdateExclusions(c *call, in *listExclusionsInput) (any, error) {
	scope := tokenScope(c.op.name, c.server.registry.id)
	limit, cursor, err := c.page(in.MaxResults, in.NextToken, scope)
	if err != nil {
		return nil, err
	}
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	rest := c.server.registry.PullTimeExclusions()
	i, found := slices.BinarySearch(rest, cursor)
	if found {
		i++
	}
	rest = rest[i:]
	out := &listExclusionsOutput{Principals: append([]string{}, rest[:min(limit, len(rest))]...)}
	if len(rest) > limit {
		out.NextToken = c.server.tokens.seal(rest[limit-1], scope)
	}
	return out, nil
}
