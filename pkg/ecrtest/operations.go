package ecrtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// operation is one row of the API: its route, its authorisation and its handler.
type operation struct {
	protocol protocol
	// service is the name that requests are signed for.
	service string
	// route identifies the operation in a request: the value of X-Amz-Target for awsJson,
	// method and path for REST, the parameter Action for awsQuery.
	route string
	// name is that in tests, faults and records.
	name string
	// action is the IAM action.
	action string
	handle func(c *call, body []byte) (any, error)
}

// operations is the whole API.
var operations = []operation{
	ecrOperation("DescribeRegistry", describeRegistry),
	ecrOperation("DescribeRepositories", describeRepositories),
	ecrOperation("DescribeImages", describeImages),
	ecrOperation("DescribeImageScanFindings", describeImageScanFindings),
	ecrOperation("GetRegistryScanningConfiguration", getRegistryScanningConfiguration),
	ecrOperation("BatchGetImage", batchGetImage),
	ecrOperation("DescribePullThroughCacheRules", describePullThroughCacheRules),
	ecrOperation("GetLifecyclePolicy", getLifecyclePolicy),
	ecrOperation("ListTagsForResource", listTagsForResource),
	ecrOperation("ListPullTimeUpdateExclusions", listPullTimeUpdateExclusions),
	ecrOperation("RegisterPullTimeUpdateExclusion", registerPullTimeUpdateExclusion),
	ecrOperation("DeregisterPullTimeUpdateExclusion", deregisterPullTimeUpdateExclusion),
	inspectorOperation("ListFindingAggregations", "/findings/aggregation/list", listFindingAggregations),
	inspectorOperation("ListCoverage", "/coverage/list", listCoverage),
	{
		service: "servicequotas", route: "ServiceQuotasV20190624.ListServiceQuotas", name: "ListServiceQuotas",
		action: "servicequotas:ListServiceQuotas", handle: decoded(listServiceQuotas),
	},
	{
		protocol: awsQuery, service: "sts", route: actionPrefix + "GetCallerIdentity", name: "GetCallerIdentity",
		action: "sts:GetCallerIdentity", handle: getCallerIdentity,
	},
	{
		protocol: awsQuery, service: "sts", route: actionPrefix + "AssumeRole", name: "AssumeRole",
		action: "sts:AssumeRole", handle: assumeRole,
	},
	{
		protocol: ec2Query, service: "ec2", route: actionPrefix + "DescribeRegions", name: "DescribeRegions",
		action: "ec2:DescribeRegions", handle: describeRegions,
	},
}

// targetPrefix names the service and its API version in X-Amz-Target.
const targetPrefix = "AmazonEC2ContainerRegistry_V20150921."

func ecrOperation[In any](name string, handle func(*call, *In) (any, error)) operation {
	return operation{
		service: "ecr",
		route:   targetPrefix + name,
		name:    name,
		action:  "ecr:" + name,
		handle:  decoded(handle),
	}
}

// inspectorOperation is an operation of Amazon Inspector's API.
func inspectorOperation[In any](name, path string, handle func(*call, *In) (any, error)) operation {
	return operation{
		protocol: restJSON,
		service:  "inspector2",
		route:    http.MethodPost + " " + path,
		name:     name,
		action:   "inspector2:" + name,
		handle:   decoded(handle),
	}
}

// decoded decodes the body for a handler.
func decoded[In any](handle func(*call, *In) (any, error)) func(*call, []byte) (any, error) {
	return func(c *call, body []byte) (any, error) {
		in := new(In)
		if err := json.Unmarshal(body, in); err != nil {
			return nil, serializationError(err)
		}
		return handle(c, in)
	}
}

// protocolOf is the protocol of an operation, which is nil if it is unknown.
func protocolOf(op *operation) protocol {
	if op == nil {
		return awsJSON
	}
	return op.protocol
}

// serializationError is the error for a body that is not JSON or does not match the
// operation's input.
func serializationError(err error) *apiError {
	if shape, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return newError("SerializationException", "%s can not be converted to the type of %s", shape.Value, shape.Field)
	}
	return newError("SerializationException", "")
}

// actionPrefix begins the routes of awsQuery.
const actionPrefix = "Action="

// routeOf returns the route of a request.
func routeOf(r *http.Request, body []byte) string {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ := url.ParseQuery(string(body)) // what cannot be parsed is no known action
		return actionPrefix + form.Get("Action")
	}
	if r.Method == http.MethodPost && r.URL.Path == "/" {
		return r.Header.Get("X-Amz-Target")
	}
	return r.Method + " " + r.URL.Path
}

// call is one request that is being handled.
type call struct {
	server *Server
	op     *operation
	caller *session // nil if the server is of no organisation
}

// user is the ARN of the caller.
func (c *call) user() string {
	if c.caller != nil {
		return c.caller.arn
	}
	return c.server.user()
}

// registryID is the pattern of RegistryId in the service model.
var registryID = regexp.MustCompile(`^[0-9]{12}$`)

// registry returns the registry of a request, by default the server's own. Access to an
// account that is not simulated is denied; name is the requested repository, or "*".
func (c *call) registry(id *string, name string) (*Registry, error) {
	if id == nil {
		return c.server.registry, nil
	}
	if !registryID.MatchString(*id) {
		return nil, invalid("registryId", "Member must satisfy regular expression pattern: [0-9]{12}")
	}
	if reg := c.server.registryOf(*id); reg != nil {
		return reg, nil
	}
	other := NewRegistry(*id, c.server.registry.region)
	return nil, accessDenied(c.user(), c.op.action, other.ARN(name),
		"because no resource-based policy allows the "+c.op.action+" action")
}

// authorize checks the call against the server's policy, if it has one.
func (c *call) authorize(resource string) error {
	return c.authorizeAction(c.op.action, resource)
}

// authorizeAction does the same for a further action that the operation needs.
func (c *call) authorizeAction(action, resource string) error {
	policy := c.server.currentPolicy()
	if policy == nil {
		return nil
	}
	switch policy.decide(action, resource) {
	case allowed:
		return nil
	case explicitlyDenied:
		return accessDenied(c.user(), action, resource, "with an explicit deny in an identity-based policy")
	default:
		return accessDenied(c.user(), action, resource,
			"because no identity-based policy allows the "+action+" action")
	}
}

// The page sizes of ECR's service model: MaxResults is 1 to 1000, 100 if absent.
const (
	defaultPage = 100
	maxPage     = 1000
)

// page reads the two paging parameters of a request. The cursor is the end of the previous
// page, empty for the first.
func (c *call) page(maxResults *int32, token *string, scope []byte) (limit int, cursor string, err error) {
	limit = defaultPage
	if maxResults != nil {
		limit = int(*maxResults)
	}
	return c.pageOf(limit, maxPage, token, scope, invalid)
}

// pageOf is page for an operation with other limits than ECR's and another error for invalid
// parameters.
func (c *call) pageOf(
	limit, most int, token *string, scope []byte, invalid func(parameter, constraint string) *apiError,
) (allowed int, cursor string, err error) {
	switch {
	case limit < 1:
		return 0, "", invalid("maxResults", "Member must have value greater than or equal to 1")
	case limit > most:
		return 0, "", invalid("maxResults", fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	limit = c.server.pageLimit(c.op.name, limit)
	if token == nil {
		return limit, "", nil
	}
	cursor, ok := c.server.tokens.open(*token, scope)
	if !ok {
		return 0, "", invalid("nextToken", "Invalid token")
	}
	return limit, cursor, nil
}

// epoch converts Unix milliseconds into a time of awsJson1.1, which is in seconds. A missing
// time is 0, which "omitempty" omits.
func epoch(ms int64) float64 { return float64(ms) / 1000 }
