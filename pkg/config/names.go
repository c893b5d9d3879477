package config

import (
	"regexp"

	"github.com/caarlos0/env/v11"
)

// AccountID is an AWS account, twelve digits.
type AccountID string

// Region is the name of an AWS Region.
type Region string

// RoleARN is the ARN of an IAM role.
type RoleARN string

// ExternalID is what a role's trust policy may demand besides the caller. It is not secret:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html.
type ExternalID string

var (
	parseAccountID = matching[AccountID](`^\d{12}$`)
	parseRegion    = matching[Region](`^[a-z]{2}(?:-[a-z]+)+-\d$`)
	// With a path and a name: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html.
	parseRoleARN = matching[RoleARN](`^arn:aws(?:-cn|-us-gov)?:iam::\d{12}:role/(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`, 510, 64)
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	parseExternalID = matching[ExternalID](`^([A-Za-z0-9_+=,.@:/-][A-Za-z0-9_+=,.@:/-]+)$`, 1224)
)

// matching reads texts that an expression matches, with a length limit in bytes for each
// of its groups: bounded repetitions take milliseconds to compile, in every cold start.
func matching[T ~string](expression string, limits ...int) env.ParserFunc {
	compiled := regexp.MustCompile(expression)
	return func(text string) (any, error) {
		match := compiled.FindStringSubmatch(text)
		if match == nil {
			return nil, errRule
		}
		for i, limit := range limits {
			if len(match[i+1]) > limit {
				return nil, errRule
			}
		}
		return T(text), nil
	}
}
