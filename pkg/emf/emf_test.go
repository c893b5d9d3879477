package emf_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/emf"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

var update = flag.Bool("update", false, "write the golden files anew")

const namespace = "ECRExporter"

var (
	at       = time.Date(2026, 11, 1, 12, 0, 0, 5e8, time.UTC)
	function = metrics.Label{Name: "FunctionName", Value: "ecr-remote-write"}
)

// healthy is a run in which nothing went wrong.
func healthy() metrics.Run {
	return metrics.Run{
		At: at, SucceededAt: at,
		RefreshDuration: 9100 * time.Millisecond, PushDuration: 250 * time.Millisecond,
		OldestRecord: at.Add(-25 * time.Minute),
		Requests:     map[string]int{"DescribeImages": 200, "DescribeRepositories": 2, "ListCoverage": 0},
		Throttles:    map[string]int{"DescribeImages": 0, "DescribeRepositories": 0, "ListCoverage": 0},
		Push: metrics.Push{
			Accepted: 20_000, Dropped: map[string]int{"label_value_too_long": 0, "invalid_label_name": 0}, BytesCompressed: 1_234_567,
		},
		Errors:  map[string]int{"load": 0, "refresh": 0, "push": 0, "save": 0},
		Version: "v1.2.3", GoVersion: "go1.26.1",
	}
}

func ofRun(run metrics.Run, external ...metrics.Label) iter.Seq[metrics.Series] {
	shape := inventory.Shape{External: map[string]string{}}
	for _, label := range external {
		shape.External[label.Name] = label.Value
	}
	table, err := metrics.New(shape)
	if err != nil {
		panic(err)
	}
	return table.OfRun(run)
}

// calls keeps what each call of Write was given.
type calls [][]byte

func (c *calls) Write(b []byte) (int, error) {
	*c = append(*c, bytes.Clone(b))
	return len(b), nil
}

// written returns the documents written, all of them valid and each by one call.
func written(t *testing.T, dimensions []metrics.Label, series iter.Seq[metrics.Series]) []*parsed {
	t.Helper()
	var lines calls
	if err := emf.Write(&lines, namespace, at, dimensions, series); err != nil {
		t.Fatal(err)
	}
	var documents []*parsed
	for _, line := range lines {
		p, err := parse(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if p.timestamp != 1793534400500 || p.namespace != namespace {
			t.Errorf("timestamp %d, namespace %q", p.timestamp, p.namespace)
		}
		documents = append(documents, p)
	}
	return documents
}

// values returns all metrics, named as name{dimension="value",…}.
func values(documents []*parsed) map[string]string {
	all := map[string]string{}
	for _, p := range documents {
		var dimensions []string
		for _, name := range p.names {
			dimensions = append(dimensions, fmt.Sprintf("%s=%q", name, p.root[name]))
		}
		for name := range p.units {
			all[name+"{"+strings.Join(dimensions, ",")+"}"] = fmt.Sprint(p.root[name])
		}
	}
	return all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/run.jsonl"
	run := healthy()
	run.RegistryID = "123456789012"
	run.Throttles["DescribeImages"], run.Push.Dropped["label_value_too_long"], run.Errors["refresh"] = 7, 4, 1
	var got bytes.Buffer
	if err := emf.Write(&got, namespace, at, []metrics.Label{function}, ofRun(run)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("lines (-want +got); -update writes them anew:\n%s", diff)
	}
	written(t, []metrics.Label{function}, ofRun(run)) // all valid
}

// What a healthy run costs is what the comment of Write says.
func TestMetricsOfHealthyRun(t *testing.T) {
	t.Parallel()
	got := values(written(t, []metrics.Label{function}, ofRun(healthy())))
	total, one := `{FunctionName="ecr-remote-write"}`, func(operation string) string {
		return `aws_ecr_exporter_api_requests{FunctionName="ecr-remote-write",operation="` + operation + `"}`
	}
	want := map[string]string{
		one("DescribeImages"):                                     "200",
		one("DescribeRepositories"):                               "2",
		"aws_ecr_exporter_api_requests" + total:                   "202",
		"aws_ecr_exporter_api_throttles" + total:                  "0",
		"aws_ecr_exporter_errors" + total:                         "0",
		"aws_ecr_exporter_last_success_timestamp_seconds" + total: "1793534400",
		"aws_ecr_exporter_oldest_record_age_seconds" + total:      "1500",
		"aws_ecr_exporter_push_duration_seconds" + total:          "0.25",
		"aws_ecr_exporter_refresh_duration_seconds" + total:       "9.1",
		"aws_ecr_exporter_send_retries" + total:                   "0",
		"aws_ecr_exporter_sent_bytes" + total:                     "1234567",
		"aws_ecr_exporter_series_dropped" + total:                 "0",
		"aws_ecr_exporter_series_not_sent" + total:                "0",
		"aws_ecr_exporter_series_refused" + total:                 "0",
		"aws_ecr_exporter_series_sent" + total:                    "20000",
		"aws_ecr_exporter_series_unconfirmed" + total:             "0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if totals := len(got) - 2; totals != 14 {
		t.Errorf("%d metrics besides the operations', the comment of Write says 14", totals)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	documents := written(t, nil, ofRun(healthy()))
	for name, want := range map[string]string{
		"aws_ecr_exporter_last_success_timestamp_seconds": "None",
		"aws_ecr_exporter_push_duration_seconds":          "Seconds",
		"aws_ecr_exporter_sent_bytes":                     "Bytes",
		"aws_ecr_exporter_series_sent":                    "Count",
		"aws_ecr_exporter_api_requests":                   "Count",
	} {
		if got := documents[0].units[name]; got != want {
			t.Errorf("%s has the unit %q, want %q", name, got, want)
		}
	}
}

// series builds one series of a family that has the labels in own.
func series(name string, value float64, own []string, labels ...metrics.Label) metrics.Series {
	family := &metrics.Family{Name: name, Type: "gauge", Labels: own}
	return metrics.Series{Family: family, Labels: append([]metrics.Label{{Name: "__name__", Value: name}}, labels...), Value: value}
}

func TestShape(t *testing.T) {
	t.Parallel()
	l := func(name, value string) metrics.Label { return metrics.Label{Name: name, Value: value} }
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		given  []metrics.Label
		series []metrics.Series
		want   map[string]string
	}{
		"no dimensions":        {series: []metrics.Series{series("m", 1, nil)}, want: map[string]string{"m{}": "1"}},
		"an empty label":       {series: []metrics.Series{series("m", 1, []string{"a"}, l("a", ""))}, want: map[string]string{"m{}": "1"}},
		"beyond ASCII":         {series: []metrics.Series{series("m", 1, nil, l("e", "Zürich\n\xff"))}, want: map[string]string{`m{e="Z?rich??"}`: "1"}},
		"too long a value":     {series: []metrics.Series{series("m", 1, nil, l("e", long))}, want: map[string]string{`m{e="` + long[:1024] + `"}`: "1"}},
		"names not possible":   {given: []metrics.Label{l("_aws", "1"), l("_AWS", "1")}, series: []metrics.Series{series("m", 1, nil)}, want: map[string]string{"m{}": "1"}},
		"family before given":  {given: []metrics.Label{l("registry_id", "2")}, series: []metrics.Series{series("m", 1, []string{"registry_id"}, l("registry_id", "1"))}, want: map[string]string{`m{registry_id="1"}`: "1"}},
		"given before others":  {given: []metrics.Label{l("e", "1")}, series: []metrics.Series{series("m", 1, nil, l("e", "2"))}, want: map[string]string{`m{e="1"}`: "1"}},
		"not numbers":          {series: []metrics.Series{series("m", math.NaN(), nil), series("n", math.Inf(-1), nil), series("o", -1, nil)}, want: map[string]string{"o{}": "-1"}},
		"only what has none":   {series: []metrics.Series{series("m", math.NaN(), nil), series("build_info", 1, nil)}, want: map[string]string{}},
		"a metric's name":      {series: []metrics.Series{series("m", 1, nil, l("m", "x")), series("n", 1, nil, l("m", "x"))}, want: map[string]string{"m{}": "1", `n{m="x"}`: "1"}},
		"no longer told apart": {series: []metrics.Series{series("m", 1, nil, l("e", "ä")), series("m", 2, nil, l("e", "ö"))}, want: map[string]string{`m{e="?"}`: "3"}},
		"parts of a total": {
			given: []metrics.Label{l("F", "f")},
			series: []metrics.Series{
				series("m", 0, []string{"a", "registry_id"}, l("a", "x"), l("registry_id", "1")),
				series("m", 2, []string{"a", "registry_id"}, l("a", "y"), l("registry_id", "1")),
				series("m", 3, []string{"a", "registry_id"}, l("a", "z"), l("registry_id", "1")),
			},
			want: map[string]string{`m{F="f",registry_id="1"}`: "5", `m{F="f",a="y",registry_id="1"}`: "2", `m{F="f",a="z",registry_id="1"}`: "3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, values(written(t, c.given, slices.Values(c.series)))); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// With everything as large as it may be the limits hold, that of a line too.
func TestLimits(t *testing.T) {
	t.Parallel()
	var external []metrics.Label
	for i := range 40 {
		external = append(external, metrics.Label{Name: strings.Repeat("d", 247) + fmt.Sprintf("_%02d", i), Value: strings.Repeat(`"`, 3000)})
	}
	var many []metrics.Series
	for i := range 150 {
		many = append(many, series(strings.Repeat("<", 251)+fmt.Sprintf("_%03d", i), -1.2345678901234567e-100, []string{"operation"},
			append([]metrics.Label{{Name: "operation", Value: "x"}}, external...)...))
	}
	documents := written(t, []metrics.Label{function}, slices.Values(many))
	if len(documents) != 4 { // totals and parts, 100 + 50 each
		t.Errorf("%d documents, want 4", len(documents))
	}
	if got := len(values(documents)); got != 2*len(many) {
		t.Errorf("%d metrics, want %d", got, 2*len(many))
	}
	for _, p := range documents {
		if len(p.names) != 30 || !slices.Contains(p.names, "FunctionName") {
			t.Errorf("%d dimensions, want 30 with FunctionName", len(p.names))
		}
	}
	for _, p := range documents[2:] {
		if p.root["operation"] != "x" {
			t.Error("the family's own dimension gave way to external ones")
		}
	}
}

// Among Lambda's JSON log lines those of the metrics are told by _aws in the root.
func TestBesideJSONLogging(t *testing.T) {
	t.Parallel()
	var lines calls
	log := slog.New(slog.NewJSONHandler(&lines, nil))
	log.Info("run begins", "_aws", "not ours")
	if err := emf.Write(&lines, namespace, at, []metrics.Label{function}, ofRun(healthy())); err != nil {
		t.Fatal(err)
	}
	log.Info("run", "summary", map[string]any{"_aws": map[string]any{"CloudWatchMetrics": nil}})
	var kinds []string
	for _, line := range lines {
		if _, err := object(line); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		kind := "log"
		if p, err := parse(line); err == nil {
			kind = strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(p.root)), func(name string) bool { return strings.HasPrefix(name, "aws_") }), " ")
		}
		kinds = append(kinds, kind)
	}
	want := []string{"log", "FunctionName _aws", "FunctionName _aws operation", "FunctionName _aws operation", "log"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestWriteFault(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	fault := errors.New("disk full")
	reader.CloseWithError(fault)
	if err := emf.Write(writer, namespace, at, nil, ofRun(healthy())); !errors.Is(err, fault) {
		t.Errorf("error %v, want %v", err, fault)
	}
}

// Whatever the values are, what is written is valid.
func FuzzWrite(f *testing.F) {
	f.Add("push", 1.0, "external")
	f.Add("\xff", math.NaN(), "")
	f.Add("é", 1e200, "\n")
	f.Add("<&>\u2028", math.Copysign(0, -1), strings.Repeat("x", 2000))
	f.Fuzz(func(t *testing.T, value string, number float64, external string) {
		if math.Abs(number) > math.Ldexp(1, 300) {
			t.Skip("no run metric is that large")
		}
		if strings.TrimSpace(value) != value || strings.TrimSpace(external) != external {
			t.Skip("configuration and families have no such label")
		}
		label := metrics.Label{Name: "stage", Value: value}
		got := values(written(t, []metrics.Label{function}, slices.Values([]metrics.Series{
			series("m", number, []string{"stage"}, label, metrics.Label{Name: "e", Value: external}),
			series("m", number, nil, label), series("other", 1, nil),
		})))
		if len(got) == 0 {
			t.Error("the good series is not there")
		}
	})
}
