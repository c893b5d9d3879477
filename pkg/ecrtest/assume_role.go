package ecrtest

import (
	"encoding/xml"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

type assumeRoleOutput struct {
	XMLName       xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
	Arn           string   `xml:"AssumeRoleResult>AssumedRoleUser>Arn"`
	AssumedRoleID string   `xml:"AssumeRoleResult>AssumedRoleUser>AssumedRoleId"`
	AccessKeyID   string   `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
	Secret        string   `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
	Token         string   `xml:"AssumeRoleResult>Credentials>SessionToken"`
	Expiration    string   `xml:"AssumeRoleResult>Credentials>Expiration"`
}

// The constraints of AssumeRole's parameters in the service model.
var (
	roleARN         = regexp.MustCompile(`^arn:[a-z-]+:iam::([0-9]{12}):role/([\w+=,.@/-]+)$`)
	roleSessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalID      = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
)

// The least and the most length of an external id.
const (
	minExternalID = 2
	maxExternalID = 1224
)

// How long a session may be: the least and the most of the service model, the default, and
// the most for a session that itself has a role's credentials, as a function does.
const (
	minSession     = 15 * time.Minute
	maxSession     = 12 * time.Hour
	defaultSession = time.Hour
	chainedSession = time.Hour
)

// assumeRole handles AssumeRole of AWS STS. Only the function itself is trusted, with the
// external id of the role. What is wrong with a role, STS does not say.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func assumeRole(c *call, body []byte) (any, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, newError("ValidationError", "%v", err)
	}
	length := defaultSession
	if text := form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		length = time.Duration(seconds) * time.Second
		if err != nil || length < minSession || length > maxSession {
			return nil, validationError("durationSeconds", text)
		}
	}
	arn, name := roleARN.FindStringSubmatch(form.Get("RoleArn")), form.Get("RoleSessionName")
	switch id := form.Get("ExternalId"); {
	case arn == nil:
		return nil, newError("ValidationError", "%s is invalid", form.Get("RoleArn"))
	case !roleSessionName.MatchString(name):
		return nil, validationError("roleSessionName", name)
	case form.Has("ExternalId") && (len(id) < minExternalID || len(id) > maxExternalID || !externalID.MatchString(id)):
		return nil, validationError("externalId", id)
	case length > chainedSession:
		return nil, newError("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	if err := c.authorize(arn[0]); err != nil {
		return nil, err
	}
	o := c.server.organisation
	if o == nil || c.caller.role != nil {
		return nil, c.notTrusted(arn[0])
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	account := o.accounts[arn[1]]
	if account == nil {
		return nil, c.notTrusted(arn[0])
	}
	role := account.roles[arn[2]]
	if role == nil || role.ExternalID != "" && role.ExternalID != form.Get("ExternalId") {
		return nil, c.notTrusted(arn[0])
	}
	s := &session{
		account: arn[1], arn: stsARN(arn[1], arn[2], name), userID: role.id + ":" + name,
		role: role, from: c.caller.key.AccessKeyID, expires: time.Now().Add(length).Truncate(time.Second),
	}
	key := o.issue(s)
	return &assumeRoleOutput{
		Arn: s.arn, AssumedRoleID: s.userID, AccessKeyID: key.AccessKeyID, Secret: key.SecretAccessKey, Token: key.SessionToken,
		Expiration: s.expires.UTC().Format(time.RFC3339),
	}, nil
}

// notTrusted is the error for a role that does not exist, or does not trust the caller.
func (c *call) notTrusted(role string) *apiError {
	return newError("AccessDeniedException", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.user(), role)
}

func validationError(parameter, value string) *apiError {
	return newError("ValidationError", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint", value, parameter)
}
