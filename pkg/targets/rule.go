package targets

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
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

const wantLabel = "a name that matches [a-zA-Z_][a-zA-Z0-9_]*, does not begin with __ and is neither region nor registry_id, and a text of 1 to 2048 bytes"

// check reports each field that breaks its rule, by its name in a document. Which settings there
// are, and their rules, is for pkg/config.
func (t *Target) check(fault func(field, want string)) {
	must := func(ok bool, field, want string) {
		if !ok {
			fault(field, want)
		}
	}
	must(awsapi.ValidAccount(t.Account), "account", "an AWS account, twelve digits")
	must(within(t.Name, 0, 256), "name", "a text of at most 256 bytes")
	must(t.ExternalID == "" || awsapi.ValidExternalID(t.ExternalID), "external_id", "2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -")
	must(t.Interval >= time.Minute && t.Interval <= 24*time.Hour && t.Interval%time.Minute == 0, "interval", "whole minutes from 1m to 24h, as 2m, 1h30m or 1d")
	texts := 0
	for name, value := range t.Labels {
		texts += len(name) + len(value)
		must(metrics.ValidExternalLabel(name, value) && name != "region" && name != "registry_id", "labels."+name, wantLabel)
	}
	for name, value := range t.Settings {
		texts += len(name) + len(value)
		must(within(value, 0, 4096), "settings."+name, "a text of at most 4096 bytes")
	}
	must(len(t.Labels) <= maxLabels, "labels", fmt.Sprintf("at most %d", maxLabels))
	must(len(t.Settings) <= maxSettings, "settings", fmt.Sprintf("at most %d", maxSettings))
	must(texts <= maxTexts, "", fmt.Sprintf("labels and settings of at most %d bytes together", maxTexts))
}

func within(text string, low, high int) bool {
	return len(text) >= low && len(text) <= high && utf8.ValidString(text)
}

var errRole = errors.New("the name of a role, after its path if it has one, or an ARN of the function's partition with ACCOUNT, or the target's own account, as the account")

// anyAccount stands for the target's account in the ARN of a role.
const anyAccount = "ACCOUNT"

var roleForm = regexp.MustCompile(`^(?:arn:(aws[a-z-]*):iam::(` + anyAccount + `|\d{12}):role/)?([^/].*)$`)

// readRole returns the parts of a role: its name after its path and, of an ARN, the partition and
// the account. ok is false if it is none.
func readRole(role string) (partition, account, name string, ok bool) {
	match := roleForm.FindStringSubmatch(role)
	if match == nil || match[1] == "" && strings.HasPrefix(role, "arn:") || !awsapi.ValidRole(match[3]) {
		return "", "", "", false
	}
	return match[1], match[2], match[3], true
}

// ValidRole reports whether a role names one in any account: by its name, after its path if it has
// one, or by an ARN in which ACCOUNT stands for the account.
func ValidRole(role string) bool {
	_, account, _, ok := readRole(role)
	return ok && (account == "" || account == anyAccount)
}

// RoleARN returns the ARN of a role in an account of a partition, such as aws-cn. The role is as
// for ValidRole, or an ARN in the account.
func RoleARN(role, account, partition string) (string, error) {
	of, owner, name, ok := readRole(role)
	if !ok || owner != "" && (of != partition || owner != anyAccount && owner != account) {
		return "", errRole
	}
	return "arn:" + partition + ":iam::" + account + ":role/" + name, nil
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
