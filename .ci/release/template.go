package main

import (
	"fmt"
	"strings"
)

// edits turn template.yaml, which builds the program, into the template of a release,
// which takes it from a bucket. VERSION stands for the version.
var edits = []struct{ what, before, after string }{
	{"where the code is", "      CodeUri: .\n",
		"      CodeUri: { Bucket: !Ref CodeBucket, Key: !Sub \"${CodePrefix}" + name + "_VERSION_${Architecture}.zip\" }\n"},
	{"how it is built", "    Metadata:\n      BuildMethod: makefile # sam build runs make build-ExporterFunction\n", ""},
	{"the group of parameters", "    ParameterGroups:\n",
		"    ParameterGroups:\n      - Label: { default: Where the release is }\n        Parameters: [CodeBucket, CodePrefix]\n"},
	{"the parameters", "\nParameters:\n", `
Parameters:
  CodeBucket:
    Description: The bucket in this Region with the zip files of the release.
    Type: String
    AllowedPattern: ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$
    ConstraintDescription: must be the name of a bucket.
  CodePrefix:
    Description: What precedes the name of the zip file in the bucket, such as releases/. Empty means nothing.
    Type: String
    Default: ""
    AllowedPattern: ^([0-9A-Za-z/._-]+/)?$
    ConstraintDescription: must be empty, or end with a slash.
`},
}

// repository begins what only sam publish reads. It names files that a release is without.
const repository = "  AWS::ServerlessRepo::Application:"

// packagedTemplate returns the template of a release.
func packagedTemplate(text, version string) (string, error) {
	for _, edit := range edits {
		if n := strings.Count(text, edit.before); n != 1 {
			return "", fmt.Errorf("template.yaml: %s is there %d times, want once: %q", edit.what, n, edit.before)
		}
		text = strings.Replace(text, edit.before, strings.ReplaceAll(edit.after, "VERSION", version), 1)
	}
	head, rest, found := strings.Cut(text, repository)
	_, tail, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		return "", fmt.Errorf("template.yaml: there is no %q", repository)
	}
	return head + "\n" + tail, nil
}
