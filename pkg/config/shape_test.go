package config_test

import (
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ include, exclude, yes, no string }{
		{"", "", "a team/app", "-"},
		{"team/.*", "", "team/app team/", "my-team/app team"},
		{"", "team/.*", "my-team/app team", "team/app"},
		{"team/.*", ".*-test", "team/app", "team/app-test other"},
		{"a|b", "", "a b", "ab aa xb bx"}, // anchored as a whole
		{"", "a|b", "ab aa", "a b"},
		{"(?i)APP", "", "app APP", "apps"},
		{"^app$", "", "app", "apps"},
		{".*", ".*", "-", "a app"},
		{`v\d+(\.\d+){2}`, "", "v1.2.3", "v1.2 v1.2.3-rc v1x2x3"},
		{"a?", "", "a", "aa"},
	} {
		got := load(t, plainURL, "REPOSITORIES_INCLUDE="+c.include, "REPOSITORIES_EXCLUDE="+c.exclude, "TAGS_INCLUDE="+c.include, "TAGS_EXCLUDE="+c.exclude, "FAMILIES_INCLUDE="+c.include, "FAMILIES_EXCLUDE="+c.exclude)
		for name, filter := range map[string]inventory.Filter{"repositories": got.Shape().Repositories, "tags": got.Shape().Tags, "families": got.Shape().Families} {
			if filter != (inventory.Filter{Include: c.include, Exclude: c.exclude}) {
				t.Errorf("%s: filter %v", name, filter)
			}
			match, err := filter.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if match == nil {
				if c.include+c.exclude != "" {
					t.Errorf("%s: the filter has no choice", name)
				}
				continue
			}
			for want, texts := range map[bool]string{true: c.yes, false: c.no} {
				for text := range strings.FieldsSeq(texts) {
					if text != "-" && match(text) != want {
						t.Errorf("%s: include %q, exclude %q: %q is chosen: %v, want %v", name, c.include, c.exclude, text, !want, want)
					}
				}
			}
		}
	}
}

// A fault of an expression tells what is wrong with it.
func TestFilterFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[a": "missing closing ]", "a)|(b": "unexpected )", `\Qa`: "missing closing )",
	} {
		_, err := config.Load([]string{plainURL, "TAGS_EXCLUDE=" + text}, config.ToSend)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "TAGS_EXCLUDE=") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
