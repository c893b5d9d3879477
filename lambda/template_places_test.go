package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What names a partition in the template: its ARNs, and the hosts that are no principals of
// services, whose names are the same in each.
var (
	someARN   = regexp.MustCompile(`arn:(aws[a-z-]*):`)
	someHost  = regexp.MustCompile(`[a-z0-9.-]+\.amazonaws\.[a-z.]*[a-z]`)
	principal = regexp.MustCompile(`^[a-z]+\.amazonaws\.com$`)
)

// A stack has ARNs and hosts of its own partition only, whatever it creates, and a link to its
// console.
func TestTemplatePlaces(t *testing.T) {
	t.Parallel()
	everything := map[string]string{
		"IdleImages": "never", "RepositoryTags": "team", "RegistryDetails": "true", "AlertTopic": "create", "AlertEmail": "me@example.com", "Dashboard": "ENABLED",
		"SubnetIds": "subnet-0a1b", "SecurityGroupIds": "sg-0a1b",
	}
	for _, place := range places {
		amp := place.partition != "aws-cn" // nor is X-Ray for functions
		for name, given := range map[string]map[string]string{
			"URL": toURL, "all to URL": with(toURL, everything), "workspace": toWorkspace, "all created": with(toCreated, everything, map[string]string{"AlertRules": "ENABLED"}),
			"traced": with(toURL, map[string]string{"Tracing": "ENABLED"}),
		} {
			s := newStack(t, template(t), given)
			s.pseudo = place.pseudo()
			refused := s.refused()
			if needs := !amp && (given["WorkspaceId"] != "" || given["Tracing"] != ""); needs != (len(refused) > 0) {
				t.Errorf("%s, %s: refused with %q", place.region, name, refused)
			}
			if len(refused) > 0 {
				continue
			}
			resources, outputs := s.present("Resources"), s.present("Outputs")
			for _, text := range texts(map[string]any{"Resources": resources, "Outputs": outputs}) {
				for _, arn := range someARN.FindAllStringSubmatch(text, -1) {
					if arn[1] != place.partition {
						t.Errorf("%s, %s: an ARN of another partition: %s", place.region, name, text)
					}
				}
				for _, host := range someHost.FindAllString(text, -1) {
					if !principal.MatchString(host) && !strings.Contains(host, ".console.") && !strings.HasSuffix(host, place.region+"."+place.suffix) {
						t.Errorf("%s, %s: a host of another partition: %s", place.region, name, host)
					}
				}
			}
			if url := fmt.Sprint(dig(t, outputs, "LogsInsightsUrl", "Value")); !strings.HasPrefix(url, "https://"+place.region+".console.") {
				t.Errorf("%s, %s: the link to Logs Insights is %s", place.region, name, url)
			}
		}
	}
}

// Where AMP is not, no parameters make CloudFormation meet its types.
func TestTemplateWithoutAMP(t *testing.T) {
	t.Parallel()
	for _, place := range places {
		s := newStack(t, template(t), with(toCreated, map[string]string{"AlertRules": "ENABLED"}))
		s.pseudo = place.pseudo()
		created := 0
		for _, id := range []string{"Workspace", "WorkspaceRules"} {
			if s.resource(id) != nil {
				created++
			}
		}
		if amp := place.partition != "aws-cn"; amp && created != 2 || !amp && created != 0 {
			t.Errorf("%s: %d resources of AMP", place.region, created)
		}
	}
}

// texts are the strings in an evaluated value.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var all []string
		for _, item := range value {
			all = append(all, texts(item)...)
		}
		return all
	case map[string]any:
		var all []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			all = append(all, append(texts(value[key]), key)...)
		}
		return all
	}
	return nil
}
