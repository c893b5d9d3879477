package source

import "strings"

// Rule is a recording or alerting rule; the words are those of a rule file.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
	// Fires and Silent are the promtool tests of an alert: one that fires, one that must not.
	Fires  Case `yaml:"-"`
	Silent Case `yaml:"-"`
	// More are further tests, which have names.
	More []Case `yaml:"-"`
}

// Group is rules that are evaluated one after the other.
type Group struct {
	Name  string `yaml:"name"`
	Rules []Rule `yaml:"rules"`
}

// Case is series in promtool's notation, a value each minute, and what a rule makes of them.
type Case struct {
	// Name says what is the case; empty for the first two of a rule.
	Name  string
	Input []Input
	// At is when the rule is asked, such as 3h.
	At string
	// Labels are those of the one alert that fires, besides those of the rule.
	Labels map[string]string
}

// Input is one series, and its values each minute from minute 0.
type Input struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

// Runbooks is the page with a section for each alert.
const Runbooks = "https://github.com/aws-exporters/ecr-remote-write/blob/main/docs/runbooks.md"

// Recordings are the joins of pods and findings, which cost much at each step of a graph.
// Their results are of running images only, so that they are few.
func Recordings() []Group {
	rules := []Rule{{
		Record: "ecr:running_containers:count",
		Expr:   "count without (pod) (\n" + indent(pods(byPod, "")+running("")) + "\n)",
	}}
	for _, severity := range Severities[:4] {
		rules = append(rules, Rule{
			Record: "ecr:running_findings:max", Expr: runningSeverity(severity), Labels: map[string]string{"severity": severity},
		})
	}
	return []Group{{Name: "EcrRunningImages", Rules: rules}}
}

// Alerts are about images, then about the exporter, then about the registries of TARGETS.
func Alerts() []Group {
	return []Group{
		{Name: "EcrImages", Rules: complete(imageAlerts())},
		{Name: "EcrExporter", Rules: complete(exporterAlerts())},
		{Name: "EcrOrganisation", Rules: complete(organisationAlerts())},
	}
}

// ByImage is the alert that joins on image, which is in docs only.
func ByImage() Group {
	alert := critical()
	alert.Expr = runningByImage
	alert.Annotations["description"] = strings.Replace(alert.Annotations["description"], "{{ $labels.name }}@{{ $labels.digest }}", "{{ $labels.image }}", 1)
	return Group{Name: "CriticalImageVulnerability", Rules: []Rule{alert}}
}

// ByDigest is the alert that joins on digest, as docs/queries.md has it.
func ByDigest() Group {
	return Group{Name: "CriticalImageVulnerability", Rules: []Rule{critical()}}
}

// complete adds what all alerts have.
func complete(rules []Rule) []Rule {
	for i := range rules {
		rules[i].Annotations["runbook_url"] = Runbooks + "#" + strings.ToLower(rules[i].Alert)
	}
	return rules
}

// alert is an alert of a severity, with its annotations.
func alert(name, severity, wait, expr, summary, description string) Rule {
	return Rule{
		Alert: name, Expr: expr, For: wait, Labels: map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description},
	}
}

// critical has the name, labels and annotations that the users of the Python exporter know.
func critical() Rule {
	rule := alert("CriticalImageVulnerability", "warning", "1m", runningSeverity("CRITICAL"),
		":skull_and_crossbones: An image is running with *CRITICAL* vulnerabilities in: *{{ $labels.namespace }}*",
		"Image: {{ $labels.name }}@{{ $labels.digest }} is running with *CRITICAL* vulnerabilities. The base image should be reviewed and updated as required.")
	rule.Labels["type"] = "security-alert"
	return rule
}
