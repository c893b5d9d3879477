package secret_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// FuzzParse: whatever the text, it is a secret that is not shown, or a reference that is.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		planted, "", "secretsmanager:" + secARN, "secretsmanager:a#b", "secretsmanager:a#b#c", "secretsmanager:#",
		"ssm:/a/b:1", "ssm:" + ssmARN, "file:/a", "file:", "ssm", "secretsmanager", secARN, "arn:::::", "ssm:arn:", "secretsmanager:a#\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := secret.Parse(text)
		if literal, ok := parsed.Literal(); ok && (literal != text || secret.Shown(text) != "REDACTED") {
			t.Errorf("%q is the secret %q, shown as %s", text, literal, secret.Shown(text))
		} else if !ok && secret.Shown(text) != text {
			t.Errorf("%q is a reference, or meant as one, and shown as %s", text, secret.Shown(text))
		}
		if err != nil && (parsed.IsSet() || len(text) > 60 && strings.Contains(err.Error(), text)) {
			t.Errorf("%q: error %q", text, err)
		}
	})
}

// FuzzMember: whatever is stored, a member of it is what encoding/json says, or an
// error that shows nothing.
func FuzzMember(f *testing.F) {
	for _, text := range []string{`{"key":"value"}`, `{"key":1}`, `{`, ``, `[]`, `null`, `{"Key":"a","key":"b"}`, `{"key":"` + planted + `"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := secret.Pick("secretsmanager:a#key", text)
		var members map[string]any
		_ = json.Unmarshal([]byte(text), &members)
		want, _ := members["key"].(string)
		if json.Valid([]byte(text)) && got != want || (err == nil) != (got != "") {
			t.Errorf("%q has %q, %v, want %q", text, got, err, want)
		}
		if err != nil && len(text) > 50 && strings.Contains(err.Error(), text) {
			t.Errorf("error %q shows it", err)
		}
	})
}
