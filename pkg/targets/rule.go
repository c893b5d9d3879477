package targets

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a document. Each list has one that is checked before it is read, so that
// aliases cannot make a small document large.
const (
	maxBytes    = 4 << 20
	maxAccounts = 5000
	maxRegions  = 64 // of an account
	maxTargets  = 20000
	maxFields   = 16 // of a target
	maxLabels   = 32
	maxSettings = 64
	// maxTexts is the length of a target's labels and settings together, in bytes, of which
	// JSON makes at most six times as many: with it a message is below SQS's 256 KiB.
	maxTexts = 16 << 10
	// maxFaults is how many faults are listed.
	maxFaults = 1000
)

// AllRegions stands for the Regions that are enabled in an account.
const AllRegions = "*"

// rule is what a text must be.
type rule struct {
	want string
	ok   func(string) bool
}

var (
	regionName  = regexp.MustCompile(`^[a-z]{2}(?:-[a-z]+)+-\d$`)
	accountRule = rule{"an AWS account, twelve digits", regexp.MustCompile(`^\d{12}$`).MatchString}
	regionRule  = rule{"the name of an AWS Region", func(s string) bool { return len(s) <= 32 && regionName.MatchString(s) }}
	regionsRule = rule{`the name of an AWS Region, or "*"`, func(s string) bool { return s == AllRegions || regionRule.ok(s) }}
	nameRule    = rule{"a name of 1 to 256 bytes", func(s string) bool { return within(s, 1, 256) }}
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	externalID     = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]+$`)
	externalIDRule = rule{"an external id, 2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -", func(s string) bool { return within(s, 2, 1224) && externalID.MatchString(s) }}
	intervalRule   = rule{"whole minutes from 1m to 24h, as 2m, 1h30m or 1d", func(s string) bool { return parseInterval(s) > 0 }}
	labelName      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	// As of EXTERNAL_LABELS, but that region is for the exporter to set.
	labelNameRule = rule{"names of labels that match [a-zA-Z_][a-zA-Z0-9_]*, do not begin with __ and are not region",
		func(s string) bool {
			return within(s, 1, 1024) && labelName.MatchString(s) && !strings.HasPrefix(s, "__") && s != "region"
		}}
	labelValueRule   = rule{"a value of 1 to 2048 bytes", func(s string) bool { return within(s, 1, 2048) }}
	settingName      = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	settingNameRule  = rule{"the name of a setting", func(s string) bool { return within(s, 1, 64) && settingName.MatchString(s) }}
	settingValueRule = rule{"a value of at most 4096 bytes", func(s string) bool { return within(s, 0, 4096) }}
)

func within(text string, low, high int) bool {
	return len(text) >= low && len(text) <= high && utf8.ValidString(text)
}

// parseInterval returns 0 for what is no interval.
func parseInterval(text string) time.Duration {
	if text == "1d" { // a unit that Go's durations lack
		return 24 * time.Hour
	}
	if interval, err := time.ParseDuration(text); err == nil && validInterval(interval) {
		return interval
	}
	return 0
}

func validInterval(interval time.Duration) bool {
	return interval >= time.Minute && interval <= 24*time.Hour && interval%time.Minute == 0
}

// roleName is a role's path, if it has one, and its name:
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html.
var roleName = regexp.MustCompile(`^(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`)

// errRole is the rule of roles.
var errRole = errors.New("the name of a role, after its path if it has one, or the role's ARN, of the function's own partition and with ACCOUNT or the target's own account")

// RoleARN returns the ARN of a role in an account of a partition, such as aws-cn. The role is
// a name, with its path if it has one, or an ARN in which ACCOUNT stands for the account.
// With "ACCOUNT" as the account it checks a role that is for many accounts.
func RoleARN(role, account, partition string) (string, error) {
	prefix := "arn:" + partition + ":iam::"
	name := strings.TrimPrefix(role, "/")
	if strings.HasPrefix(role, "arn:") {
		owner, rest, _ := strings.Cut(strings.TrimPrefix(role, prefix), ":role/")
		if !strings.HasPrefix(role, prefix) || owner != "ACCOUNT" && owner != account {
			return "", errRole
		}
		name = rest
	}
	match := roleName.FindStringSubmatch(name)
	if match == nil || len(match[1]) > 510 || len(match[2]) > 64 {
		return "", errRole
	}
	return prefix + account + ":role/" + name, nil
}

// Fault is one place of a document, or of a list, that breaks a rule. It shows no value,
// which may be a secret in the wrong place.
type Fault struct {
	Line  int    // counted from 1; 0 for a list
	Field string // such as targets[3].settings.SCAN_SOURCE, counted from 0
	Rule  string
}

// String returns the line, the field and the rule.
func (f Fault) String() string {
	text := f.Rule
	if f.Field != "" {
		text = f.Field + ": " + text
	}
	if f.Line > 0 {
		text = "line " + strconv.Itoa(f.Line) + ": " + text
	}
	return text
}

// Faults are all faults of a document, in the order of its lines: at most 1,000, and one that
// says that there are more.
type Faults []Fault

// Error lists all faults, one a line if there are several.
func (f Faults) Error() string {
	if len(f) == 1 {
		return "the targets have a fault: " + f[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the targets have %d faults:", len(f))
	for _, fault := range f {
		b.WriteString("\n  " + fault.String())
	}
	return b.String()
}

func (f *Faults) add(line int, field, format string, args ...any) {
	switch {
	case len(*f) < maxFaults:
		*f = append(*f, Fault{line, field, fmt.Sprintf(format, args...)})
	case len(*f) == maxFaults:
		*f = append(*f, Fault{Line: 1 << 30, Rule: "further faults are not listed"})
	}
}
