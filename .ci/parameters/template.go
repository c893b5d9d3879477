package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// parameter is what the template declares.
type parameter struct {
	Default               string   `yaml:"Default"`
	AllowedValues         []string `yaml:"AllowedValues"`
	AllowedPattern        string   `yaml:"AllowedPattern"`
	ConstraintDescription string   `yaml:"ConstraintDescription"`
}

func readTemplate(file string) (map[string]parameter, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var template struct {
		Parameters map[string]parameter `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return template.Parameters, nil
}

// complete returns the given parameters, and the defaults of the others. No fault shows a
// value, except a placeholder, since it may be a secret. The docs have a table of what
// replaced former parameters.
func complete(declared map[string]parameter, given map[string]string, docs string) (sent map[string]string, faults []error) {
	sent = map[string]string{}
	for name, p := range declared {
		sent[name] = p.Default
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		p, known := declared[name]
		switch {
		case !known:
			if former := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(name) + "` \\| (.*?) \\|").FindStringSubmatch(docs); former != nil {
				faults = append(faults, fmt.Errorf("%s is no longer a parameter of the template, but %s: see docs/template-parameters.md", name, strings.ReplaceAll(former[1], "`", "")))
			} else {
				faults = append(faults, fmt.Errorf("%s is not a parameter of the template: see docs/template-parameters.md", name))
			}
		case strings.HasPrefix(value, "YOUR-"):
			faults = append(faults, fmt.Errorf(`%s is still the placeholder %s: put your value into samconfig.toml, or give it as make deploy PARAMETERS="%s=..."`, name, value, name))
		case len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, value):
			faults = append(faults, fmt.Errorf("%s must be one of %s", name, strings.Join(p.AllowedValues, ", ")))
		case !matches(p.AllowedPattern, value):
			faults = append(faults, fmt.Errorf("%s %s", name, p.ConstraintDescription))
		}
		sent[name] = value
	}
	switch workspace, url := sent["WorkspaceId"] != "", sent["RemoteWriteUrl"] != ""; {
	case !workspace && !url:
		faults = append(faults, errors.New("set WorkspaceId (an AMP workspace) or RemoteWriteUrl (any other endpoint)"))
	case workspace && url:
		faults = append(faults, errors.New("set WorkspaceId or RemoteWriteUrl, not both"))
	}
	// The alarm about success has as many periods of five minutes, and CloudWatch looks
	// back a day. The template's rules cannot compare numbers.
	if minutes, err := strconv.Atoi(sent["ScheduleMinutes"]); err == nil && minutes > 288 && sent["AlertTopic"] != "" {
		faults = append(faults, errors.New("ScheduleMinutes must be at most 288 with AlertTopic"))
	}
	return sent, faults
}

// matches leaves patterns that Go does not know, those with a lookahead, to CloudFormation.
func matches(pattern, value string) bool {
	expression, err := regexp.Compile(pattern)
	return err != nil || expression.MatchString(value)
}
