package config_test

import (
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

func TestStateURL(t *testing.T) {
	t.Parallel()
	longest := "s3://bucket/" + strings.Repeat("k", 1008)
	for text, want := range map[string]config.StateURL{
		"memory:":                       {},
		"file:///var/lib/ecr%20state":   {Path: "/var/lib/ecr state"},
		"s3://my.bucket-1/state":        {Bucket: "my.bucket-1", Key: "state"},
		"s3://bucket/a folder/b%20c+d=": {Bucket: "bucket", Key: "a folder/b%20c+d="},
		longest:                         {Bucket: "bucket", Key: longest[len("s3://bucket/"):]},
	} {
		got := load(t, plainURL, "STATE_URL="+text).StateURL
		if got != want || got.String() != text {
			t.Errorf("%s: %+v, and back %s", text, got, got)
		}
	}
}
