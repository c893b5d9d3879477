package targets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// spec is a target as it is written: for each of its Regions, and with a role that may be a
// pattern.
type spec struct {
	Target
	regions []string
	// at is where each field stands, by its name such as labels.env; the target itself is at "".
	at map[string]position
}

type position struct {
	line  int
	field string
}

// under returns a copy for another place, where fields can be replaced.
func (s spec) under(line int, field string) spec {
	s.at, s.Labels, s.Settings = maps.Clone(s.at), maps.Clone(s.Labels), maps.Clone(s.Settings)
	s.at[""] = position{line, field}
	return s
}

// where returns the position of a field, or for one that is missing where it should be.
func (s *spec) where(field string) position {
	if at, ok := s.at[field]; ok {
		return at
	}
	at := s.at[""]
	return position{at.line, strings.TrimSuffix(at.field+"."+shown(field), ".")}
}

// reader collects targets and faults.
type reader struct {
	Defaults
	base    spec // what holds for all targets
	check   func(settings map[string]string) map[string]string
	checked map[string]map[string]string // what check returned, by the settings as JSON
	faults  map[Fault]bool
	listed  []Target
	regions map[string][]string // those listed of each account
	several bool                // an account has several Regions
}

func newReader(d Defaults, check func(map[string]string) map[string]string) *reader {
	base := spec{regions: []string{d.Region}, Target: Target{Role: d.Role, ExternalID: d.ExternalID, Interval: d.Interval, Labels: map[string]string{}, Settings: map[string]string{}}}
	base.at = map[string]position{"role": {field: "TARGET_ROLE"}, "external_id": {field: "TARGET_EXTERNAL_ID"}, "interval": {field: "the default interval"}}
	return &reader{Defaults: d, base: base, check: check, checked: map[string]map[string]string{}, faults: map[Fault]bool{}, regions: map[string][]string{}}
}

func (r *reader) fault(at position, format string, args ...any) {
	r.faults[Fault{at.line, at.field, fmt.Sprintf(format, args...)}] = true
}

// ParseDocument reads a document of YAML: see docs/targets.md. check returns the rule of each
// of a target's settings that is refused, by name; it is called once for equal settings. The
// error is of the type Faults, with every fault.
func ParseDocument(text []byte, d Defaults, check func(settings map[string]string) map[string]string) (*Document, error) {
	r := newReader(d, check)
	var node, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if len(text) > maxBytes {
		r.fault(position{}, "want at most %d bytes", maxBytes)
		return r.document()
	}
	switch err := decoder.Decode(&node); {
	case err != nil && !errors.Is(err, io.EOF):
		r.fault(position{}, "not YAML: %.200s", strings.TrimPrefix(err.Error(), "yaml: "))
	case err != nil || len(node.Content) != 1 || node.Content[0].ShortTag() == "!!null":
		r.fault(position{}, "the document is empty, want targets")
	case !errors.Is(decoder.Decode(&second), io.EOF):
		r.fault(position{}, "want one document, and nothing after it")
	default:
		r.root(node.Content[0])
	}
	return r.document()
}

func (r *reader) root(node *yaml.Node) {
	var targets *yaml.Node
	isMapping := r.fields(node, position{node.Line, ""}, maxFields, func(name string, value *yaml.Node, at position) {
		switch name {
		case "defaults": // before or after the targets
			r.spec(value, at, &r.base, "regions role external_id interval labels settings")
		case "targets":
			targets = value
		default:
			r.fault(at, "not a field, want defaults or targets")
		}
	})
	if targets == nil {
		if isMapping {
			r.fault(position{node.Line, "targets"}, "want at least one")
		}
		return
	}
	for i, item := range r.items(targets, position{targets.Line, "targets"}, maxTargets) {
		s := r.base.under(item.Line, fmt.Sprintf("targets[%d]", i))
		if r.spec(item, s.at[""], &s, "account name regions role external_id interval labels settings") {
			r.target(&s)
		}
	}
}

// spec reads the fields of a target, or of the defaults, in place of what s has.
func (r *reader) spec(node *yaml.Node, at position, s *spec, allowed string) bool {
	return r.fields(node, at, maxFields, func(name string, value *yaml.Node, at position) {
		if !strings.Contains(" "+allowed+" ", " "+name+" ") {
			r.fault(at, "not a field, want one of %s", allowed)
			return
		}
		s.at[name] = at
		switch name {
		case "account":
			s.Account = scalar(value)
		case "name":
			s.Name = scalar(value)
		case "regions":
			s.regions = nil
			for i, item := range r.items(value, at, maxRegions) {
				region := scalar(item)
				if region != AllRegions && !awsapi.ValidRegion(region) {
					r.fault(position{item.Line, fmt.Sprintf("%s[%d]", at.field, i)}, `want the name of an AWS Region, or "*"`)
					continue
				}
				s.regions = append(s.regions, region)
			}
		case "role":
			s.Role = scalar(value)
		case "external_id":
			s.ExternalID = scalar(value)
		case "interval":
			s.Interval, _ = time.ParseDuration(strings.Replace(scalar(value), "1d", "24h", 1)) // 0 for what is none breaks the rule
		default:
			pairs, limit := s.Labels, maxLabels
			if name == "settings" {
				pairs, limit = s.Settings, maxSettings
			}
			r.fields(value, at, limit, func(key string, value *yaml.Node, at position) {
				pairs[key], s.at[name+"."+key] = scalar(value), at
			})
		}
	})
}

// target checks a target and adds it for each of its Regions.
func (r *reader) target(s *spec) {
	own := strings.HasPrefix(s.at["role"].field, s.at[""].field+".") // not that of the defaults
	var err error
	if s.Account == r.Account && !own {
		s.Role, s.ExternalID = "", ""
	} else if s.Role, err = RoleARN(s.Role, s.Account, r.Partition); err != nil {
		r.fault(s.where("role"), "want %v", err)
	}
	s.check(func(field, want string) { r.fault(s.where(field), "want %s", want) })
	for name, rule := range r.refused(s.Settings) {
		r.fault(s.where("settings."+name), "%s", rule)
	}
	if !awsapi.ValidAccount(s.Account) {
		return
	}
	for _, s.Region = range s.regions {
		r.add(s.where("regions"), s.Target)
	}
}

// refused returns the rule of each setting that is refused.
func (r *reader) refused(settings map[string]string) map[string]string {
	if r.check == nil || len(settings) == 0 {
		return nil
	}
	key, _ := json.Marshal(settings) // sorted by name; a map of texts has no error
	if _, known := r.checked[string(key)]; !known {
		r.checked[string(key)] = r.check(maps.Clone(settings))
	}
	return r.checked[string(key)]
}

// fields visits the fields of a mapping, each name once. It reports whether the node is one.
func (r *reader) fields(node *yaml.Node, at position, limit int, visit func(name string, value *yaml.Node, at position)) bool {
	if node = resolve(node); node.Kind != yaml.MappingNode || len(node.Content) > 2*limit {
		r.fault(at, "want at most %d fields, as name: value", limit)
		return false
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := resolve(node.Content[i])
		inner := position{key.Line, strings.TrimPrefix(at.field+"."+shown(key.Value), ".")}
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fault(inner, "want a word as a field's name")
		case given[key.Value]:
			r.fault(inner, "is given twice")
		default:
			given[key.Value] = true
			visit(key.Value, node.Content[i+1], inner)
		}
	}
	return true
}

// items returns the items of a list, of which there is at least one.
func (r *reader) items(node *yaml.Node, at position, limit int) []*yaml.Node {
	if node = resolve(node); node.Kind != yaml.SequenceNode || len(node.Content) == 0 || len(node.Content) > limit {
		r.fault(at, "want a list of 1 to %d", limit)
		return nil
	}
	return node.Content
}

// scalar returns a text, number or Boolean as it is written; for anything else what breaks
// every rule, since it is not UTF-8.
func scalar(node *yaml.Node) string {
	node = resolve(node)
	if tag := node.ShortTag(); node.Kind != yaml.ScalarNode || tag == "!!null" || tag == "!!binary" {
		return "\xff"
	}
	return node.Value
}

// resolve returns what an alias stands for. What is read of a document has a fixed depth and
// bounded lists, so that aliases cannot multiply it.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// shown is a field's name as a fault shows it, on one line.
func shown(name string) string {
	quoted := strconv.QuoteToASCII(name[:min(len(name), 64)])
	return quoted[1 : len(quoted)-1]
}
