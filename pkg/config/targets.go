package config

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Targets says which registries are read: the text of a list, or where a document is.
type Targets string

// RoleName names the roles of many accounts: a name, with its path if it has one, or an ARN with
// ACCOUNT in place of the account.
type RoleName string

func validTargets(text string) bool {
	if _, isObject := Targets(text).Object(); isObject || targets.IsList(text) {
		return true
	}
	_, err := secret.Parse(text)
	return Targets(text).IsParameter() && err == nil
}

// Object returns where in S3 the document is.
func (t Targets) Object() (object StateURL, ok bool) {
	return object, strings.HasPrefix(string(t), "s3://") && object.UnmarshalText([]byte(t)) == nil
}

// IsParameter reports whether the document is a parameter of Parameter Store.
func (t Targets) IsParameter() bool { return strings.HasPrefix(string(t), "ssm:") }

// resolveTargets checks what TARGETS needs.
func (c *Config) resolveTargets(vars map[string]string, faults *Faults) {
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

// ForTarget returns the configuration of one of TARGETS' registries. Its own settings have to be
// among TargetSettings.
func ForTarget(environ []string, use Use, t *targets.Target) (*Config, error) {
	var faults Faults
	known := TargetSettings()
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		if !slices.Contains(known, name) {
			faults = append(faults, Fault{Variable: name, Rule: "is no setting that a registry can have of its own: these are " + strings.Join(known, ", ")})
		}
	}
	if faults != nil {
		return nil, faults
	}
	instead := map[string]string{"TARGETS": ""}
	maps.Copy(instead, t.Settings)
	c, err := load(environ, instead, use)
	if err != nil {
		return nil, err
	}
	c.OneOfMany, c.Warnings = true, nil // these are about the function's own
	c.ECRRegistryID, c.Schedule = AccountID(t.Account), Schedule(t.Interval)
	c.StateURL = c.StateURL.Beside(t.Account, t.Region, path.Base(c.StateURL.Key+c.StateURL.Path))
	// A family's own label wins: registry_id is for those that have none.
	labels := map[string]string{"registry_id": t.Account}
	maps.Copy(labels, t.Labels)
	if t.RegionLabel || c.RegionLabel {
		labels["region"] = t.Region
	}
	c.ExternalLabels = slices.DeleteFunc(c.ExternalLabels, func(l metrics.Label) bool { _, replaced := labels[l.Name]; return replaced })
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
