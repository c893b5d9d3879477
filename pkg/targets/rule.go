package targets

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a document. Each of its lists is checked against one before it is read, so
// that aliases cannot make a small document large.
const (
	maxBytes    = 4 << 20
	maxAccounts = 5000
	maxRegions  = 64 // of an account
	maxTargets  = 20000
	maxFields   = 16 // of a target
	maxLabels   = 32
	maxSettings = 64
	// maxTexts is the length of a target's labels and settings together, in bytes. JSON
	// makes it six times as long at most: then a message is still below SQS's 256 KiB.
	maxTexts = 16 << 10
)

// AllRegions stands for the Regions that are enabled in an account.
const AllRegions = "*"

// The rules are those of pkg/config for the same things.
var (
	accountID   = regexp.MustCompile(`^\d{12}$`)
	regionName  = regexp.MustCompile(`^[a-z]{2}(?:-[a-z]{1,16}){1,4}-\d$`)
	externalID  = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]+$`) // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	labelName   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	settingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	// A path, if there is one, and a name: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html.
	roleName = regexp.MustCompile(`^(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`)
)

const wantLabel = "a name that matches [a-zA-Z_][a-zA-Z0-9_]*, does not begin with __ and is not region, and a text of 1 to 2048 bytes"

// check reports each field that breaks its rule, by its name in a document.
func (t *Target) check(fault func(field, want string)) {
	must := func(ok bool, field, want string) {
		if !ok {
			fault(field, want)
		}
	}
	must(accountID.MatchString(t.Account), "account", "an AWS account, twelve digits")
	must(within(t.Name, 0, 256), "name", "a text of at most 256 bytes")
	must(t.ExternalID == "" || within(t.ExternalID, 2, 1224) && externalID.MatchString(t.ExternalID), "external_id", "2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -")
	must(t.Interval >= time.Minute && t.Interval <= 24*time.Hour && t.Interval%time.Minute == 0, "interval", "whole minutes from 1m to 24h, as 2m, 1h30m or 1d")
	texts := 0
	for name, value := range t.Labels {
		texts += len(name) + len(value)
		must(labelName.MatchString(name) && !strings.HasPrefix(name, "__") && name != "region" && within(value, 1, 2048), "labels."+name, wantLabel)
	}
	for name, value := range t.Settings {
		texts += len(name) + len(value)
		must(settingName.MatchString(name) && within(value, 0, 4096), "settings."+name, "the name of a setting, and a text of at most 4096 bytes")
	}
	must(len(t.Labels) <= maxLabels, "labels", fmt.Sprintf("at most %d", maxLabels))
	must(len(t.Settings) <= maxSettings, "settings", fmt.Sprintf("at most %d", maxSettings))
	must(texts <= maxTexts, "", fmt.Sprintf("labels and settings of at most %d bytes together", maxTexts))
}

func within(text string, low, high int) bool {
	return len(text) >= low && len(text) <= high && utf8.ValidString(text)
}

var errRole = errors.New("the name of a role, after its path if it has one, or an ARN of the function's partition with ACCOUNT, or the target's own account, as the account")

// RoleARN returns the ARN of a role in an account of a partition, such as aws-cn. The role is
// a name, after its path if it has one, or an ARN in which ACCOUNT stands for the account.
func RoleARN(role, account, partition string) (string, error) {
	prefix, name := "arn:"+partition+":iam::", role
	if strings.HasPrefix(role, "arn:") {
		rest, ours := strings.CutPrefix(role, prefix)
		owner, after, _ := strings.Cut(rest, ":role/")
		if name = after; !ours || owner != "ACCOUNT" && owner != account {
			return "", errRole
		}
	}
	match := roleName.FindStringSubmatch(name)
	if match == nil || len(match[1]) > 510 || len(match[2]) > 64 {
		return "", errRole
	}
	return prefix + account + ":role/" + name, nil
}

// Fault is a place of a document, or of a list, that breaks a rule. It shows no value, which
// may be a secret in the wrong place.
type Fault struct {
	Line  int    // counted from 1; 0 for a list and for the defaults from outside
	Field string // such as targets[3].settings.SCAN_SOURCE, counted from 0
	Rule  string
}

// String returns the line, the field and the rule.
func (f Fault) String() string {
	text := strings.TrimPrefix(f.Field+": "+f.Rule, ": ")
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// Faults are all faults of a document, in the order of its lines.
type Faults []Fault

// Error lists the faults, one a line if there are several; of very many the first hundred.
func (f Faults) Error() string {
	if len(f) == 1 {
		return "the targets have a fault: " + f[0].String()
	}
	text := fmt.Sprintf("the targets have %d faults:", len(f))
	for _, fault := range f[:min(len(f), 100)] {
		text += "\n  " + fault.String()
	}
	return text
}
