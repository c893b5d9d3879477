package awsapi

import "regexp"

// RegionPattern matches the name of an AWS Region, such as eu-west-1 or eusc-de-east-1.
const RegionPattern = `[a-z]+(?:-[a-z]+)+-\d`

// Lengths are not in the expressions: bounded repetitions take milliseconds to compile, in
// every cold start.
var (
	account    = regexp.MustCompile(`^\d{12}$`)
	region     = regexp.MustCompile(`^` + RegionPattern + `$`)
	externalID = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]+$`)
	roleName   = regexp.MustCompile(`^(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`)
)

// ValidAccount reports whether s can be an AWS account.
func ValidAccount(s string) bool { return account.MatchString(s) }

// ValidRegion reports whether s can be the name of an AWS Region.
func ValidRegion(s string) bool { return len(s) <= maxWord && region.MatchString(s) }

// ValidExternalID reports whether s can be what a role's trust policy demands.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func ValidExternalID(s string) bool {
	return len(s) >= 2 && len(s) <= 1224 && externalID.MatchString(s)
}

// ValidRole reports whether s can be the name of an IAM role, after its path if it has one.
// See https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
func ValidRole(s string) bool {
	match := roleName.FindStringSubmatch(s)
	return match != nil && len(match[1]) <= 510 && len(match[2]) <= 64
}
