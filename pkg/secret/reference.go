package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// The stores that a reference begins with.
const (
	secretsManager = "secretsmanager"
	parameterStore = "ssm"
	fileSystem     = "file"
)

// reference says where a secret is kept.
type reference struct {
	store  string
	name   string // a name, an ARN or a path
	key    string // of the JSON object that the secret is; empty for the whole text
	region string // the ARN's; empty for the function's
}

const (
	regionPattern = `(` + awsapi.RegionPattern + `)`
	// maxSecretName is 512 characters, and "-" and six more that an ARN has.
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	maxSecretName = 519
	// maxParameterName counts the ARN before the name, maxLabel a label or a version.
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
	maxParameterName, maxLabel = 1011, 100
)

// Lengths are not in the expressions: bounded repetitions take milliseconds to compile,
// in every cold start.
var (
	// SecretId is "the ARN or name of the secret", neither of which has a #.
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
	secretID = regexp.MustCompile(`^(?:arn:aws[a-z-]*:secretsmanager:` + regionPattern + `:\d{12}:secret:)?([A-Za-z0-9/_+=.@-]+)(?:#([^#[:cntrl:]]+))?$`)
	// Name is "the name or Amazon Resource Name (ARN) of the parameter", with :version or
	// :label. A name with folders begins with a slash.
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
	parameterID = regexp.MustCompile(`^(?:arn:aws[a-z-]*:ssm:` + regionPattern + `:\d{12}:parameter(?:/[\w.-]+)+|[\w.-]+|(?:/[\w.-]+)+)(?::([\w.-]+))?$`)
	// referenceLike matches references and what must be meant as one: a store in other
	// letters, an ARN without a store or with a misspelt one.
	referenceLike = regexp.MustCompile(`^(?i:(?:secretsmanager|ssm|file):|(?:[a-z_-]+:)?arn:aws[a-z-]*:)`)
)

// Parse reads a setting:
//
//	secretsmanager:ARN-OR-NAME        the text of a secret in Secrets Manager
//	secretsmanager:ARN-OR-NAME#KEY    one member of a secret that is a JSON object
//	ssm:NAME-OR-ARN                   a parameter of SSM Parameter Store, decrypted
//	file:PATH                         a file, without the line break at its end
//	anything else                     the secret itself
//
// An empty text is the zero Text. Errors do not show the text.
func Parse(text string) (Text, error) {
	if text == "" {
		return Text{}, nil
	}
	var r reference
	store, rest, found := strings.Cut(text, ":")
	if !found {
		store = "" // a secret that is the name of a store
	}
	switch store {
	case secretsManager:
		match := secretID.FindStringSubmatch(rest)
		if match == nil || len(match[2]) > maxSecretName {
			return Text{}, errors.New("want secretsmanager:ARN or secretsmanager:NAME, with #KEY for a member of a JSON object")
		}
		name, _, _ := strings.Cut(rest, "#")
		r = reference{store, name, match[3], match[1]}
	case parameterStore:
		match := parameterID.FindStringSubmatch(rest)
		if match == nil || len(match[2]) > maxLabel || len(rest)-len(match[2]) > maxParameterName {
			return Text{}, errors.New("want ssm:NAME or ssm:ARN; a name with folders begins with a slash")
		}
		r = reference{store, rest, "", match[1]}
	case fileSystem:
		if rest == "" || !utf8.ValidString(rest) || strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return Text{}, errors.New("want file:PATH")
		}
		r = reference{store, rest, "", ""}
	default:
		// As a password, it would only be refused by the endpoint.
		if referenceLike.MatchString(text) {
			return Text{}, errors.New("want secretsmanager:, ssm: or file: at the beginning of a reference")
		}
		return Text{literal: &text}, nil
	}
	return Text{reference: &r}, nil
}

// Shown returns what may be shown of a setting, also of a malformed one: a reference as
// it is, REDACTED for a secret.
func Shown(text string) string {
	if text == "" || referenceLike.MatchString(text) {
		return text
	}
	return Redacted
}

// String returns the reference as it was written.
func (r reference) String() string {
	if r.key != "" {
		return r.store + ":" + r.name + "#" + r.key
	}
	return r.store + ":" + r.name
}

// pick returns the part of the stored text that the reference names. Its errors do not
// wrap those of the decoder, which quote what they decode.
func (r reference) pick(text string) (string, error) {
	value := text
	if r.key != "" {
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil || members == nil {
			return "", fmt.Errorf("it is not a JSON object, so it has no key %q", r.key)
		}
		member, ok := members[r.key]
		if !ok {
			return "", fmt.Errorf("its JSON object has no key %q", r.key)
		}
		if value, ok = member.(string); !ok {
			return "", fmt.Errorf("the value of key %q in its JSON object is not a string", r.key)
		}
	}
	if value == "" {
		return "", errors.New("it is empty")
	}
	return value, nil
}
