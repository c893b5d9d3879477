package e2e

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// rightlyEmpty are the queries that find nothing after the week, and why.
var rightlyEmpty = map[string]string{
	"recordings.yaml: ecr:running_findings:max MEDIUM": "what runs has CRITICAL and HIGH findings only",
	"recordings.yaml: ecr:running_findings:max LOW":    "what runs has CRITICAL and HIGH findings only",
	"alerts.yaml: RepositoryNearImageQuota":            "no repository is near the quota",
	"alerts.yaml: EcrExporterSilent":                   "every run succeeds",
	"alerts.yaml: EcrDataOld":                          "every listing is on time",
	"alerts.yaml: EcrChangesLate":                      "every change is shown in time",
	"alerts.yaml: EcrEventsLate":                       "there are no events in that week, and so none that stop",
	"alerts.yaml: EcrScansOld":                         "every result is read again in time",
	"alerts.yaml: SeriesRefused":                       "Prometheus refuses nothing",
	"alerts.yaml: SeriesDropped":                       "no label is too long",
	"alerts.yaml: EcrExporterThrottled":                "nothing is throttled",
	"alerts.yaml: EcrRegistryNotRead":                  oneRegistry,
	"alerts.yaml: EcrRegistryNotRun":                   oneRegistry,
	"alerts.yaml: EcrTargetsInvalid":                   oneRegistry,
	"alerts.yaml: EcrTargetsWaiting":                   oneRegistry,
	"alerts.yaml: EcrTargetRateExceeded":               oneRegistry,
	"docs: in-use-unknown":                             "the store tells what runs",
	// Of other settings, see checkOtherSettings.
	"vulnerabilities.json: Running, as Inspector sees it":  inspectorOnly,
	"vulnerabilities.json: Last seen running by Inspector": inspectorOnly,
	"waste.json: Images without series, as they are idle":  neverOnly,
	"exporter.json: What runs is known":                    neverOnly,
	"exporter.json: Registries of TARGETS":                 oneRegistry,
	"exporter.json: Longest without a success":             oneRegistry,
	"exporter.json: Which registries are read":             oneRegistry,
}

// These queries find something with another setting.
const (
	inspectorOnly = "only enhanced scanning says where an image runs"
	neverOnly     = "IDLE_IMAGES is push"
	oneRegistry   = "TARGETS is empty"
)

// mixinQuery is a query of a panel, a rule, README or docs.
type mixinQuery struct {
	name, expr string
	// graph is set for the queries that a panel makes at each step.
	graph bool
	// record is the name under which a recording rule stores the result, with its labels.
	record string
	labels map[string]string
}

// mixinQueries are all of them; those that read the results of recording rules are after
// these.
func mixinQueries(t *testing.T, digest string) []mixinQuery {
	t.Helper()
	var all []mixinQuery
	for _, file := range []string{"recordings.yaml", "alerts.yaml"} {
		all = append(all, ruleQueries(t, file)...)
	}
	files, err := filepath.Glob("../../mixin/dashboards/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	for _, file := range files {
		all = append(all, panelQueries(t, file)...)
	}
	docs := documented(t)
	for name, expr := range docs.queries {
		all = append(all, mixinQuery{name: "docs: " + name, expr: strings.ReplaceAll(expr, "sha256:…", digest)})
	}
	for name, text := range docs.alerts {
		groups, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatal(name, errs)
		}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				// Those about the exporter are also in alerts.yaml.
				if name != "exporter" {
					all = append(all, mixinQuery{name: "docs: " + name, expr: rule.Expr})
				}
			}
		}
	}
	return all
}

func ruleQueries(t *testing.T, file string) []mixinQuery {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../mixin/rules/"+file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(file, errs)
	}
	var all []mixinQuery
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			name := file + ": " + rule.Alert + rule.Record
			if rule.Labels["severity"] != "" && rule.Record != "" {
				name += " " + rule.Labels["severity"]
			}
			all = append(all, mixinQuery{name: name, expr: rule.Expr, record: rule.Record, labels: rule.Labels})
		}
	}
	return all
}

// panelQueries are those of a dashboard, with the variables at All and a range of a week.
func panelQueries(t *testing.T, file string) []mixinQuery {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct {
				Expr  string
				Range bool
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__range", "7d", "$registry", ".*", "$region", ".*", "$cluster", ".*", "$repository", ".*", "$severity", ".*")
	var all []mixinQuery
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, mixinQuery{name: filepath.Base(file) + ": " + panel.Title, expr: variables.Replace(target.Expr), graph: target.Range})
		}
	}
	return all
}

// TestMixinOverAWeek runs every query of every panel, rule, README and docs page after a week in
// which images are pushed, tagged anew, scanned, pulled, archived and deleted: each returns data, or is
// rightly empty; none fails, such as for a join of many with many; and none reads a series
// that no family makes.
func TestMixinOverAWeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, mixinOverAWeek)
}

func mixinOverAWeek(t *testing.T) {
	// Pods are rolled out late, because changes would delete what they run in a few days. Until
	// the last hour runs are rarer than usual, to make the test faster.
	const week, rolledOut, early = 7 * 24 * time.Hour, 6 * time.Hour, time.Hour
	begun := time.Now()
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.Generate(seed, ecrtest.PlainShape(20, 200, begun.Add(-200*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	setDetails(t, registry)
	v := newVirtualLambda(t, registry)
	v.refreshEvery = early
	v.shape.Families.Include = ".*"
	v.shape.RepositoryTags, v.shape.LifecyclePolicies, v.shape.RegistryDetails = []string{"team"}, true, true
	v.shape.UntaggedImages, v.shape.UntaggedWithin = 20, 30*24*time.Hour
	v.coldStart()
	rng := rand.New(rand.NewPCG(seed, 14))
	var running []tsdbtest.Series
	var image ecrtest.Image
	for time.Since(begun) < week {
		at := time.Now()
		if running == nil && at.Sub(begun) >= week-rolledOut {
			running, image = rollOut(t, registry, at)
		}
		v.invoke(true)
		scrape(t, v.prometheus, at, running)
		if at.Sub(begun) < week-time.Hour {
			registry.Mutate(rng, at)
			time.Sleep(time.Until(at.Add(early)))
			continue
		}
		time.Sleep(time.Until(at.Add(invocationEvery)))
	}
	queries := mixinQueries(t, image.Digest)
	checkMixin(t, v.prometheus, queries, time.Now())
	checkQuestions(t, v.prometheus, queries, image.Digest)
	checkNeverPulled(t, v, queries)
	checkWithoutIdle(t, v.prometheus, queries, running, time.Now())
	checkOtherSettings(t, v, queries, running)
}

func checkMixin(t *testing.T, prometheus *tsdbtest.Prometheus, queries []mixinQuery, now time.Time) {
	t.Helper()
	known := knownFamilies()
	for _, q := range queries {
		if q.record != "" {
			known = append(known, q.record)
		}
	}
	empty := map[string]bool{}
	for _, q := range queries {
		checkSelectors(t, q, known)
		result, err := prometheus.Instant(t.Context(), q.expr, now)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		found := len(result)
		if q.graph {
			points, err := prometheus.Range(t.Context(), q.expr, now.Add(-7*24*time.Hour), now, 30*time.Minute)
			if err != nil {
				t.Errorf("%s: %v", q.name, err)
			}
			found += len(points)
		}
		if found == 0 {
			empty[q.name] = true
			if rightlyEmpty[q.name] == "" {
				t.Errorf("%s returns nothing:\n%s", q.name, q.expr)
			}
		}
		if q.record != "" {
			var recorded []tsdbtest.Series
			for key, value := range result {
				recorded = append(recorded, recordedAs(t, q, key, value))
			}
			scrape(t, prometheus, now, recorded)
		}
	}
	for name, why := range rightlyEmpty {
		if !empty[name] {
			t.Errorf("%s is said to be empty (%s), and is not or does not exist", name, why)
		}
	}
	if len(queries) < 90 {
		t.Errorf("%d queries", len(queries))
	}
}

// recordedAs is a row of a recording rule's result as it is stored.
func recordedAs(t *testing.T, q mixinQuery, key string, value float64) tsdbtest.Series {
	t.Helper()
	row, err := parser.NewParser(parser.Options{}).ParseMetric(key)
	if err != nil {
		t.Fatal(err)
	}
	b := labels.NewBuilder(row)
	b.Set(model.MetricNameLabel, q.record)
	for name, text := range q.labels {
		b.Set(name, text)
	}
	return tsdbtest.Series{Labels: b.Labels(), Value: value}
}

// knownFamilies are the families of the function, and those of kube-state-metrics.
func knownFamilies() []string {
	known := []string{
		"kube_pod_container_info", "kube_pod_init_container_info",
		"kube_pod_container_status_running", "kube_pod_init_container_status_running",
	}
	for _, family := range slices.Concat(metrics.Families(), metrics.RunFamilies(), metrics.FleetFamilies()) {
		known = append(known, family.Name)
	}
	return known
}

// checkSelectors checks that something makes the series that a query reads.
func checkSelectors(t *testing.T, q mixinQuery, known []string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		t.Errorf("%s: %v", q.name, err)
		return
	}
	selectors := 0
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		selectors++
		for _, m := range selector.LabelMatchers {
			if m.Name == model.MetricNameLabel && !slices.ContainsFunc(known, m.Matches) {
				t.Errorf("%s: nothing makes %s", q.name, m.Value)
			}
		}
		return nil
	})
	if selectors == 0 {
		t.Errorf("%s reads no series", q.name)
	}
}
