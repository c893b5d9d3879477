package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// What a reference to a secret begins with. A text that begins otherwise is the
// secret itself.
const (
	prefixSecretsManager = "secretsmanager:"
	prefixSSM            = "ssm:"
	prefixFile           = "file:"
)

// Reference says where a secret is kept. It holds no secret.
type Reference struct {
	prefix string // empty for a literal text
	name   string // an ARN, a name or a path
	key    string // of the JSON object that the secret is; empty for all of it
	region string // the ARN's, empty if there is none
}

var (
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	// With a version or a label after a colon:
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
	parameterName = regexp.MustCompile(`^[A-Za-z0-9/_.-]+(:[A-Za-z0-9_.-]+)?$`)
)

// Parse reads a setting that is a secret or refers to one:
//
//	secretsmanager:ARN-OR-NAME        the whole text of a secret in Secrets Manager
//	secretsmanager:ARN-OR-NAME#KEY    one member of a secret that is a JSON object
//	ssm:NAME-OR-ARN                   a parameter of SSM Parameter Store, decrypted
//	file:PATH                         a file, without the line break at its end
//	anything else                     the secret itself
//
// It reads nothing but the text. Errors do not show it.
func Parse(text string) (Reference, error) {
	var r Reference
	for _, prefix := range []string{prefixSecretsManager, prefixSSM, prefixFile} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			r.prefix, r.name = prefix, rest
		}
	}
	switch r.prefix {
	case prefixSecretsManager:
		return r.secretsManager()
	case prefixSSM:
		return r.parameter()
	case prefixFile:
		if r.name == "" || strings.ContainsRune(r.name, 0) {
			return Reference{}, errors.New("want file:PATH")
		}
		return r, nil
	}
	if text == "" {
		return Reference{}, errors.New("the secret is empty")
	}
	// Sent as a password, it would only be refused by the receiver.
	if a, err := arn.Parse(text); err == nil && (a.Service == "secretsmanager" || a.Service == "ssm") {
		return Reference{}, fmt.Errorf("an ARN of a secret is to be written %s:ARN", a.Service)
	}
	return r, nil
}

func (r Reference) secretsManager() (Reference, error) {
	if i := strings.LastIndexByte(r.name, '#'); i >= 0 {
		r.name, r.key = r.name[:i], r.name[i+1:]
		if r.key == "" {
			return Reference{}, errors.New("want secretsmanager:ARN#KEY: nothing follows the #")
		}
	}
	if strings.HasPrefix(r.name, "arn:") {
		a, err := arn.Parse(r.name)
		name, ok := strings.CutPrefix(a.Resource, "secret:")
		if err != nil || a.Service != "secretsmanager" || a.Region == "" || !ok || !validSecretName(name) {
			return Reference{}, errors.New("want secretsmanager:ARN with arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")
		}
		r.region = a.Region
	} else if !validSecretName(r.name) {
		return Reference{}, errors.New("want secretsmanager:ARN, secretsmanager:NAME, or either with #KEY")
	}
	return r, nil
}

func (r Reference) parameter() (Reference, error) {
	if strings.HasPrefix(r.name, "arn:") {
		a, err := arn.Parse(r.name)
		name, ok := strings.CutPrefix(a.Resource, "parameter/")
		if err != nil || a.Service != "ssm" || a.Region == "" || !ok || !validParameterName(name) {
			return Reference{}, errors.New("want ssm:ARN with arn:aws:ssm:REGION:ACCOUNT:parameter/NAME")
		}
		r.region = a.Region
	} else if !validParameterName(r.name) {
		return Reference{}, errors.New("want ssm:NAME or ssm:ARN")
	}
	return r, nil
}

// The bounds stand here and not in the expressions: repetitions with a bound take
// milliseconds to compile, in every cold start.

func validSecretName(name string) bool { return len(name) <= 512 && secretName.MatchString(name) }

func validParameterName(name string) bool {
	match := parameterName.FindStringSubmatch(name)
	return match != nil && len(match[1]) <= len(":")+100
}

// Literal reports whether the text was the secret itself.
func (r Reference) Literal() bool { return r.prefix == "" }

// String returns the reference as it was written, and for a secret itself no more
// than that it is one.
func (r Reference) String() string {
	switch {
	case r.prefix == "":
		return "(literal)"
	case r.key != "":
		return r.prefix + r.name + "#" + r.key
	}
	return r.prefix + r.name
}

// stored is the reference without its key: members of one secret are read at once,
// so that a user and a password, or a certificate and its key, belong together.
func (r Reference) stored() Reference {
	r.key = ""
	return r
}

// pick returns what the reference means of the text that is stored. Its errors do
// not wrap those of the decoder, which show parts of what they decode.
func (r Reference) pick(text string) (string, error) {
	value := text
	if r.key != "" {
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil || members == nil {
			return "", fmt.Errorf("it is no JSON object, and has no key %q", r.key)
		}
		member, ok := members[r.key]
		if !ok {
			return "", fmt.Errorf("its JSON object has no key %q", r.key)
		}
		if value, ok = member.(string); !ok {
			return "", fmt.Errorf("the value of key %q in its JSON object is no string", r.key)
		}
	}
	if value == "" {
		return "", errors.New("it is empty")
	}
	return value, nil
}
