package secret_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// FuzzParse: whatever the text, a reference prints as it was written and reads the
// same again, and a secret itself never prints.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		planted, "", "secretsmanager:" + secARN, "secretsmanager:a#b", "secretsmanager:a#b#c", "secretsmanager:#",
		"ssm:/a/b:1", "ssm:" + ssmARN, "file:/a", "file:", secARN, "arn:::::", "ssm:arn:", "secretsmanager:a#\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := secret.Parse(text)
		switch {
		case err != nil:
			if len(text) > 60 && strings.Contains(err.Error(), text) {
				t.Errorf("error %q shows it", err)
			}
		case r.Literal():
			if r.String() != "(literal)" {
				t.Errorf("%q prints as %s", text, r)
			}
		default:
			if again, err := secret.Parse(r.String()); r.String() != text || err != nil || again != r {
				t.Errorf("%q prints as %s, which is %v, %v", text, r, again, err)
			}
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
