package config

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// Targets says which registries are read: the text of a list, or where a document is.
type Targets string

// RoleName names the roles of many accounts: a name, with its path if it has one, or an ARN with
// ACCOUNT in place of the account.
type RoleName string

var parseRoleName = matching[RoleName](`^(?:arn:aws[a-z-]*:iam::ACCOUNT:role/)?/?(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`, 510, 64)

var parseTargets = matching[Targets](`^(?:(?:\d{12}:(?:\*|[a-z]{2}(?:-[a-z]+)+-\d)(?:,\s*|$))+|s3://[^/]+/.+|ssm:\S+)$`)

// Object returns where in S3 the document is.
func (t Targets) Object() (object StateURL, ok bool) {
	return object, strings.HasPrefix(string(t), "s3://") && object.UnmarshalText([]byte(t)) == nil
}

// Parameter returns which parameter of Parameter Store is the document.
func (t Targets) Parameter() (name string, ok bool) { return strings.CutPrefix(string(t), "ssm:") }

// resolveTargets checks what TARGETS needs.
func (c *Config) resolveTargets(vars map[string]string, faults *Faults) {
	if _, isDocument := c.Targets.Object(); strings.HasPrefix(string(c.Targets), "s3://") && !isDocument {
		faults.note(vars, "TARGETS", rule("Targets"))
	}
	if c.Targets == "" {
		return
	}
	if c.QueueURL.Host == "" && vars["AWS_LAMBDA_RUNTIME_API"] != "" {
		faults.note(vars, "QUEUE_URL", "required with TARGETS: "+rule("QueueURL"))
	}
	if c.ECRRegistryID != "" {
		faults.note(vars, "ECR_REGISTRY_ID", "none with TARGETS, which says whose registries are read")
	}
}

// ForTarget returns the configuration of one of TARGETS' registries: with its own settings, which
// have to be among TargetSettings, and further labels on every series.
func ForTarget(environ []string, use Use, account, region string, settings, labels map[string]string) (*Config, error) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		environ = append(slices.Clip(environ), name+"="+settings[name])
	}
	c, err := Load(slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, "TARGETS=") }), use)
	if err != nil {
		return nil, err
	}
	c.Warnings = nil // which are about the function's own
	c.ECRRegistryID = AccountID(account)
	c.StateURL = c.StateURL.Beside(account, region, path.Base(c.StateURL.Key+c.StateURL.Path))
	c.ExternalLabels = slices.DeleteFunc(slices.Clone(c.ExternalLabels), func(l metrics.Label) bool { _, replaced := labels[l.Name]; return replaced })
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		c.ExternalLabels = append(c.ExternalLabels, metrics.Label{Name: name, Value: labels[name]})
	}
	// It is about the exporter, not about a registry.
	c.FamiliesExclude = either(c.FamiliesExclude, metrics.ExporterUp)
	return c, nil
}

// either returns an expression that matches what one of two matches.
func either(expression Regexp, name string) Regexp {
	if expression == "" {
		return Regexp(name)
	}
	return "(?:" + expression + ")|" + Regexp(name)
}

// TargetSettings are the settings that one of TARGETS' registries can have of its own.
func TargetSettings() (names []string) {
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Tag.Get("target") != "" {
			names = append(names, field.Tag.Get("env"))
		}
	}
	return names
}

// Beside returns where something else is kept, in the folder of this.
func (s StateURL) Beside(names ...string) StateURL {
	switch name := path.Join(names...); {
	case s.Bucket != "":
		s.Key = path.Join(path.Dir(s.Key), name)
	case s.Path != "":
		s.Path = path.Join(path.Dir(s.Path), name)
	}
	return s
}
