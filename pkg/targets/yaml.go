package targets

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

var (
	accountPattern    = regexp.MustCompile(`^\d{12}$`)
	regionPattern     = regexp.MustCompile(`^[a-z]{2}(?:-[a-z]+)+-\d$`)
	rolePattern       = regexp.MustCompile(`^(?:arn:aws[a-z-]*:iam::(?:\d{12}|ACCOUNT):role/)?/?(?:[!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}$`)
	externalIDPattern = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,1000}$`)
	labelPattern      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

const maxLabelValue = 2048 // bytes

// parser collects the targets and the faults of a list.
type parser struct {
	defaults Defaults
	check    func(settings map[string]string) map[string]string
	document Document
	seen     map[string]bool
	faults   Faults
	checked  map[string]map[string]string // what check said, by the settings
}

// entry is what a document says of one target, or of all.
type entry struct {
	account, name    string
	role, externalID string
	regions          []string
	interval         time.Duration
	labels, settings map[string]string
}

// ParseDocument reads a YAML document (docs/targets.md). check returns what is wrong with the
// settings of a target: the rule that each breaks by name. The error has the type Faults, with
// all of them.
func ParseDocument(text []byte, d Defaults, check func(settings map[string]string) map[string]string) (*Document, error) {
	p := parser{defaults: d, check: check, checked: map[string]map[string]string{}}
	if len(text) > maxBytes {
		p.fault(0, "", "a document of at most %d MiB", maxBytes>>20)
		return p.done()
	}
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&root)
	if err == nil && decoder.Decode(&yaml.Node{}) != io.EOF { //nolint:errorlint // Decode returns it as it is
		p.fault(0, "", "one YAML document")
	}
	switch {
	case err == io.EOF: //nolint:errorlint // as above
	case err != nil:
		p.fault(0, "", "the document is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return p.done()
	default:
		p.root(root.Content[0])
	}
	return p.done()
}

func (p *parser) root(node *yaml.Node) {
	fallback := entry{interval: p.defaults.Interval, externalID: p.defaults.ExternalID}
	var list *yaml.Node
	p.fields(node, "", map[string]func(*yaml.Node, string){
		"defaults": func(node *yaml.Node, at string) { fallback = p.entry(node, at, fallback, false) },
		"targets":  func(node *yaml.Node, _ string) { list = node },
	})
	if list == nil {
		return
	}
	if list.Kind != yaml.SequenceNode {
		p.fault(list.Line, "targets", "a list")
		return
	}
	for i, item := range list.Content {
		at := fmt.Sprintf("targets[%d]", i)
		before := len(p.faults)
		e := p.entry(item, at, fallback, true)
		if len(p.faults) > before {
			continue
		}
		if e.account == "" {
			p.fault(item.Line, at+".account", "an AWS account, twelve digits in quotes")
			continue
		}
		if len(e.regions) == 0 {
			p.fault(item.Line, at+".regions", "at least one AWS Region, or \"*\" for all that are enabled; there are no default ones")
			continue
		}
		for _, region := range e.regions {
			if len(p.document.entries) > maxTargets {
				return
			}
			p.add(item.Line, at, Target{
				Account: e.account, Region: region, Name: e.name, Role: p.role(e.account, e.role), ExternalID: e.externalID,
				Interval: e.interval, Labels: e.labels, Settings: e.settings,
			})
		}
	}
}

// entry reads a target, or the defaults of all.
func (p *parser) entry(node *yaml.Node, at string, fallback entry, target bool) entry {
	e := fallback
	e.labels, e.settings = maps.Clone(fallback.labels), maps.Clone(fallback.settings)
	fields := map[string]func(*yaml.Node, string){
		"role": func(n *yaml.Node, at string) {
			e.role = p.text(n, at, rolePattern, "the name of an IAM role, or its ARN with ACCOUNT in place of the account")
		},
		"external_id": func(n *yaml.Node, at string) {
			e.externalID = p.text(n, at, externalIDPattern, "2 to 1000 letters, digits and _+=,.@:/-")
		},
		"regions":  func(n *yaml.Node, at string) { e.regions = p.regions(n, at) },
		"interval": func(n *yaml.Node, at string) { e.interval = p.interval(n, at) },
		"labels":   func(n *yaml.Node, at string) { e.labels = p.labels(n, at, e.labels) },
		"settings": func(n *yaml.Node, at string) { e.settings = p.settings(n, at, e.settings) },
	}
	if target {
		fields["account"] = func(n *yaml.Node, at string) {
			e.account = p.text(n, at, accountPattern, "an AWS account, twelve digits in quotes")
		}
		fields["name"] = func(n *yaml.Node, at string) {
			e.name = p.scalar(n, at, func(v string) bool { return len(v) <= 256 }, "text of at most 256 bytes")
		}
	}
	p.fields(node, at, fields)
	return e
}

// fields reads the fields of a mapping, each once.
func (p *parser) fields(node *yaml.Node, at string, read map[string]func(node *yaml.Node, at string)) {
	names := strings.Join(slices.Sorted(maps.Keys(read)), ", ")
	p.pairs(node, at, "fields, of "+names, func(key *yaml.Node, field string, value *yaml.Node) {
		if one := read[key.Value]; one != nil {
			one(value, field)
		} else {
			p.fault(key.Line, field, "one of %s", names)
		}
	})
}

// pairs calls read with the pairs of a mapping. Aliases are not followed: nothing needs them, and
// a few bytes of them stand for a document of gigabytes.
func (p *parser) pairs(node *yaml.Node, at, rule string, read func(key *yaml.Node, field string, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		p.fault(node.Line, at, "%s", rule)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field := strings.TrimPrefix(at+"."+shortened(key.Value), ".")
		switch {
		case key.Kind != yaml.ScalarNode:
			p.fault(key.Line, at, "%s", rule)
		case seen[key.Value]:
			p.fault(key.Line, field, "each field once")
		default:
			seen[key.Value] = true
			read(key, field, value)
		}
	}
}

// shortened is a name as it is shown in a fault.
func shortened(name string) string { return fmt.Sprintf("%.64s", name) }

func (p *parser) scalar(node *yaml.Node, at string, valid func(string) bool, rule string) string {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" || !utf8.ValidString(node.Value) || !valid(node.Value) {
		p.fault(node.Line, at, "%s", rule)
		return ""
	}
	return node.Value
}

func (p *parser) text(node *yaml.Node, at string, pattern *regexp.Regexp, rule string) string {
	return p.scalar(node, at, pattern.MatchString, rule)
}

func (p *parser) regions(node *yaml.Node, at string) (regions []string) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 || len(node.Content) > 64 {
		p.fault(node.Line, at, "a list of 1 to 64 AWS Regions, or [\"*\"] for all that are enabled")
		return nil
	}
	for i, item := range node.Content {
		regions = append(regions, p.scalar(item, fmt.Sprintf("%s[%d]", at, i), func(v string) bool { return v == Everywhere || regionPattern.MatchString(v) }, "an AWS Region, or \"*\" for all that are enabled"))
	}
	return regions
}

func (p *parser) interval(node *yaml.Node, at string) (interval time.Duration) {
	p.scalar(node, at, func(v string) bool {
		var err error
		interval, err = time.ParseDuration(v)
		return err == nil && interval >= time.Minute && interval <= 24*time.Hour && interval%time.Minute == 0
	}, "whole minutes from 1m to 24h, as a Go duration")
	return interval
}

func (p *parser) labels(node *yaml.Node, at string, labels map[string]string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	p.pairs(node, at, "labels", func(key *yaml.Node, field string, value *yaml.Node) {
		if !labelPattern.MatchString(key.Value) || strings.HasPrefix(key.Value, "__") || key.Value == "region" {
			p.fault(key.Line, field, "a name that matches [a-zA-Z_][a-zA-Z0-9_]*, does not begin with __ and is not region")
			return
		}
		labels[key.Value] = p.scalar(value, field, func(v string) bool { return v != "" && len(v) <= maxLabelValue }, "text of 1 to 2048 bytes")
	})
	return labels
}

// settings reads settings, and has them checked together with the defaults'.
func (p *parser) settings(node *yaml.Node, at string, settings map[string]string) map[string]string {
	if settings == nil {
		settings = map[string]string{}
	}
	lines := map[string]int{}
	p.pairs(node, at, "settings", func(key *yaml.Node, field string, value *yaml.Node) {
		lines[key.Value] = key.Line
		settings[key.Value] = p.scalar(value, field, func(v string) bool { return len(v) <= 2048 }, "text, a number, or true or false")
	})
	key := fmt.Sprint(settings)
	if _, known := p.checked[key]; !known {
		p.checked[key] = p.check(settings)
	}
	for _, name := range slices.Sorted(maps.Keys(p.checked[key])) {
		if line, here := lines[name]; here || name == "" {
			p.fault(max(line, node.Line), strings.TrimSuffix(at+"."+shortened(name), "."), "%s", p.checked[key][name])
		}
	}
	return settings
}
