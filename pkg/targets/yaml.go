package targets

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// entry is what a target of a document, or its defaults, says.
type entry struct {
	line                            int
	account, name, role, externalID string
	regions                         []place
	interval                        time.Duration
	labels, settings                map[string]string
	settingLines                    map[string]int
	given                           map[string]int // the line of each field
}

// place is a Region of an entry.
type place struct {
	region string
	line   int
	field  string
}

// reader reads a document's nodes.
type reader struct {
	collector
	Defaults
	check func(settings map[string]string) map[string]string
	known map[string]map[string]string // what check returned, by the settings as JSON
}

// ParseDocument reads a document of YAML: see docs/targets.md. check returns the rule of each
// of a target's settings that is refused, by name. It is called once for the same settings.
// The error is of the type Faults, with every fault.
func ParseDocument(text []byte, d Defaults, check func(settings map[string]string) map[string]string) (*Document, error) {
	r := &reader{Defaults: d, check: check, known: map[string]map[string]string{}}
	d.check(&r.faults)
	if root := r.parse(text); root != nil {
		r.root(root)
	}
	return r.document()
}

// parse returns the only document of a text, nil if it has a fault.
func (r *reader) parse(text []byte) *yaml.Node {
	if len(text) > maxBytes {
		r.faults.add(0, "", "want at most %d bytes", maxBytes)
		return nil
	}
	var node, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&node)
	if err == nil {
		if end := decoder.Decode(&next); end == nil {
			r.faults.add(next.Line, "", "want one document, and no second one after ---")
			return nil
		} else if !errors.Is(end, io.EOF) {
			err = end
		}
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && (len(node.Content) != 1 || node.Content[0].ShortTag() == "!!null"):
		r.faults.add(0, "", "the document is empty, want targets")
		return nil
	case err != nil:
		r.faults.add(0, "", "not YAML: %.200s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	return node.Content[0]
}

func (r *reader) root(node *yaml.Node) {
	var defaults entry
	var targets *yaml.Node
	r.fields(node, "", 2, func(name string, value *yaml.Node, field string) {
		switch name {
		case "defaults":
			defaults = r.entry(value, field, "regions, role, external_id, interval, labels and settings")
		case "targets":
			targets = value
		default:
			r.faults.add(value.Line, field, "not a field, want defaults and targets")
		}
	})
	if defaults.role != "" {
		if _, err := RoleARN(defaults.role, "ACCOUNT", r.Partition); err != nil {
			r.faults.add(defaults.given["role"], "defaults.role", "want %v", err)
		}
	}
	refused := r.refused(defaults.settings)
	for name, rule := range refused {
		r.faults.add(defaults.settingLines[name], "defaults.settings."+shown(name), "%s", rule)
	}
	if targets == nil {
		r.faults.add(resolve(node).Line, "targets", "want at least one target")
		return
	}
	for i, node := range r.items(targets, "targets", maxTargets) {
		field := fmt.Sprintf("targets[%d]", i)
		own := r.entry(node, field, "account, name, regions, role, external_id, interval, labels and settings")
		r.target(&own, &defaults, field, refused)
	}
}

// entry reads the fields of a target, or of the defaults.
func (r *reader) entry(node *yaml.Node, field, fields string) entry {
	e := entry{line: resolve(node).Line, given: map[string]int{}}
	allowed := strings.Fields(strings.NewReplacer(",", "", " and", "").Replace(fields))
	r.fields(node, field, maxFields, func(name string, value *yaml.Node, field string) {
		e.given[name] = value.Line
		if !slices.Contains(allowed, name) {
			r.faults.add(value.Line, field, "not a field, want %s", fields)
			return
		}
		switch name {
		case "account":
			e.account = r.text(value, field, accountRule)
		case "name":
			e.name = r.text(value, field, nameRule)
		case "regions":
			for i, item := range r.items(value, field, maxRegions) {
				p := place{line: item.Line, field: fmt.Sprintf("%s[%d]", field, i)}
				if p.region = r.text(item, p.field, regionsRule); p.region != "" {
					e.regions = append(e.regions, p)
				}
			}
		case "role":
			e.role = r.text(value, field, rule{errRole.Error(), func(s string) bool { return s != "" }})
		case "external_id":
			e.externalID = r.text(value, field, externalIDRule)
		case "interval":
			e.interval = parseInterval(r.text(value, field, intervalRule))
		case "labels":
			e.labels, _ = r.pairs(value, field, maxLabels, labelNameRule, labelValueRule)
		case "settings":
			e.settings, e.settingLines = r.pairs(value, field, maxSettings, settingNameRule, settingValueRule)
		}
	})
	return e
}

// target adds the targets of an entry, one for each of its Regions.
func (r *reader) target(own, defaults *entry, field string, refused map[string]string) {
	if own.given["account"] == 0 {
		r.faults.add(own.line, field+".account", "want %s", accountRule.want)
	}
	t := Target{
		Account: own.account, Name: own.name, Interval: cmp.Or(own.interval, defaults.interval, r.Interval),
		Labels: merged(defaults.labels, own.labels), Settings: merged(defaults.settings, own.settings),
	}
	if own.account != r.Account || own.role != "" {
		t.ExternalID = cmp.Or(own.externalID, defaults.externalID, r.ExternalID)
		var err error
		// Where no role stands in the entry itself, it has been checked for all.
		if t.Role, err = RoleARN(cmp.Or(own.role, defaults.role, r.Role), own.account, r.Partition); err != nil && own.role != "" && own.account != "" {
			r.faults.add(own.given["role"], field+".role", "want %v", err)
		}
	}
	if len(own.settings) > 0 {
		for name, rule := range r.refused(t.Settings) {
			if _, here := own.settings[name]; here || refused[name] != rule {
				r.faults.add(cmp.Or(own.settingLines[name], own.given["settings"]), field+".settings."+shown(name), "%s", rule)
			}
		}
	}
	if n := length(t.Labels) + length(t.Settings); n > maxTexts {
		r.faults.add(own.line, field, "its labels and settings have %d bytes, want at most %d", n, maxTexts)
	}
	if own.account == "" {
		return
	}
	places := own.regions
	if own.given["regions"] == 0 {
		if places = slices.Clone(defaults.regions); defaults.given["regions"] == 0 {
			places = []place{{region: r.Region}}
		}
		for i := range places {
			places[i].line, places[i].field = own.line, field
		}
	}
	for _, p := range places {
		t.Region = p.region
		r.add(p.line, p.field, t)
	}
}

// refused returns what is wrong with settings.
func (r *reader) refused(settings map[string]string) map[string]string {
	if r.check == nil || len(settings) == 0 {
		return nil
	}
	key, _ := json.Marshal(settings) // in the order of the names; a map of texts has no error
	rules, known := r.known[string(key)]
	if !known {
		rules = r.check(maps.Clone(settings))
		r.known[string(key)] = rules
	}
	return rules
}

func length(pairs map[string]string) (n int) {
	for name, value := range pairs {
		n += len(name) + len(value)
	}
	return n
}

// resolve returns what an alias stands for. What a document may be has a fixed depth and
// bounded lists, so that no alias can multiply it.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// fields visits the fields of a mapping, each name once.
func (r *reader) fields(node *yaml.Node, field string, limit int, visit func(name string, value *yaml.Node, field string)) {
	node = resolve(node)
	if node.Kind != yaml.MappingNode || len(node.Content) > 2*limit {
		r.faults.add(node.Line, field, "want a mapping (name: value) of at most %d", limit)
		return
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := resolve(node.Content[i])
		inner := strings.TrimPrefix(field+"."+shown(key.Value), ".")
		switch {
		case key.Kind != yaml.ScalarNode:
			r.faults.add(key.Line, field, "want a word as the name of each field")
		case given[key.Value]:
			r.faults.add(key.Line, inner, "is given twice")
		default:
			given[key.Value] = true
			visit(key.Value, resolve(node.Content[i+1]), inner)
		}
	}
}

// shown is a name without what would spoil a log.
func shown(name string) string {
	if len(name) > 64 || !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return name[:min(len(name), 64)]
	}
	return strconv.Quote(name)
}

// items returns the nodes of a list, which is not empty.
func (r *reader) items(node *yaml.Node, field string, limit int) []*yaml.Node {
	node = resolve(node)
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 || len(node.Content) > limit {
		r.faults.add(node.Line, field, "want a list of 1 to %d", limit)
		return nil
	}
	return node.Content
}

// text returns a text, number or Boolean as it is written, and an empty text for a fault.
func (r *reader) text(node *yaml.Node, field string, rule rule) string {
	node = resolve(node)
	if tag := node.ShortTag(); node.Kind != yaml.ScalarNode || tag == "!!null" || tag == "!!binary" || !rule.ok(node.Value) {
		r.faults.add(node.Line, field, "want %s", rule.want)
		return ""
	}
	return node.Value
}

// pairs returns names with texts, and the line of each.
func (r *reader) pairs(node *yaml.Node, field string, limit int, nameRule, valueRule rule) (map[string]string, map[string]int) {
	texts, lines := map[string]string{}, map[string]int{}
	r.fields(node, field, limit, func(name string, value *yaml.Node, field string) {
		if !nameRule.ok(name) {
			r.faults.add(value.Line, field, "want %s", nameRule.want)
			return
		}
		before := len(r.faults)
		text := r.text(value, field, valueRule)
		if len(r.faults) == before {
			texts[name], lines[name] = text, value.Line
		}
	})
	return texts, lines
}
