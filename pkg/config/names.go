package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
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

// parseIf reads texts for which valid is true.
func parseIf[T ~string](valid func(text string) bool) env.ParserFunc {
	return func(text string) (any, error) { return T(text), must(valid(text)) }
}

var roleARN = regexp.MustCompile(`^arn:aws(?:-[a-z]+)*:iam::\d{12}:role/(.+)$`)

func validRoleARN(text string) bool {
	match := roleARN.FindStringSubmatch(text)
	return match != nil && awsapi.ValidRole(match[1])
}

// prefixes are those of settings, which other programs' variables are unlikely to have.
var prefixes = []string{"REMOTE_WRITE_", "ECR_", "SCAN_", "STATE_", "REPOSITORIES_", "TAGS_", "FAMILIES_", "IMAGES_", "UNTAGGED_", "IDLE_", "IN_USE_", "REPOSITORY_", "LIFECYCLE_", "REGISTRY_", "TARGET_"}

// misspelt returns a fault for each variable that is not a setting and looks like one.
// Alone they are no reason to stop.
func misspelt(vars map[string]string) (faults []Fault) {
	known := map[string]bool{}
	for field := range reflect.TypeFor[Config]().Fields() {
		known[field.Tag.Get("env")] = true
	}
	for name := range vars {
		if known[name] {
			continue
		}
		near := nearest(name)
		switch ours := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }); {
		case near != "":
			faults = append(faults, Fault{Variable: name, Rule: "not a setting, and ignored; did you mean " + near + "?"})
		case ours:
			faults = append(faults, Fault{Variable: name, Rule: "not a setting, and ignored"})
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Variable, b.Variable) })
	return faults
}

// nearest returns the setting that a name is a misspelling of, if any: at most one letter in
// six is missing, added or another one.
func nearest(name string) string {
	near, least := "", len(name)/6+1
	for field := range reflect.TypeFor[Config]().Fields() {
		variable := field.Tag.Get("env")
		if d := distance(name, variable); d < least {
			near, least = variable, d
		}
	}
	return near
}

// distance is the number of letters to insert, remove or replace to turn one text into the
// other (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
