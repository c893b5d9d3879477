package remotewrite_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// Requirements that both specifications have in different words, and their faults.

func pushTwice(s *scene) {
	s.push(images(12))
	s.push(images(12))
}

func pushOnEach(n int) func(*scene) {
	return func(s *scene) {
		for range n {
			s.push(images(12))
		}
	}
}

// final are the responses after which nothing may be retried. 413 is not one: the
// halves of a request are other requests.
var final = func() (answers []remotewritetest.Answer) {
	for _, status := range []int{400, 401, 403, 404, 405, 408, 409, 410, 415, 422, 451, 499} {
		answers = append(answers, remotewritetest.Answer{
			Status: status, Body: "no", Header: http.Header{"Retry-After": {"1"}},
		})
	}
	return answers
}()

// overloaded asks to wait for longer than the deadline of a push.
var overloaded = []remotewritetest.Answer{{Status: 503, Header: http.Header{"Retry-After": {"60"}}}}

// misleading are responses whose text contradicts their status.
var misleading = []remotewritetest.Answer{
	{Status: 400, Body: "503 Service Unavailable: overloaded, please retry"},
	{Status: 500, Body: "400 Bad Request: out of order sample, do not retry"},
}

var faultInterprets = fault{verdict: func(_ remotewrite.Protocol, a *reply) (verdict, bool) {
	if strings.Contains(a.body, "please retry") {
		return again, true
	}
	return refused, strings.Contains(a.body, "do not retry")
}}

const strangeError = `user=1: "err": out of order sample. series={__name__="a\b", é="<&>"}` + "\n\tand 7 more"

// faultFollowsVersion sends the version of the response's version header.
var faultFollowsVersion = fault{observe: func(p remotewrite.Protocol, a *reply) remotewrite.Protocol {
	switch a.header.Get("X-Prometheus-Remote-Write-Version") {
	case "0.1.0":
		return remotewrite.V1
	case "2.0.0":
		return remotewrite.V2
	}
	return p
}}

var reservedHeaders = []string{"Content-Encoding", "content-type", "USER-AGENT", "X-Prometheus-Remote-Write-Version"}

// configureHeaders tries to override each reserved header and sets one that is not
// reserved. It pushes with every sender that allows it.
func configureHeaders(s *scene) {
	s.push(images(1))
	for _, name := range append(slices.Clone(reservedHeaders), "X-Scope-OrgID") {
		if other, err := s.sender.with(name, "custom"); err == nil {
			s.pushBy(other, images(1))
		}
	}
}

// reservedAs requires the right reserved headers, and that another one could be set.
func reservedAs(contentType, version string) func(*scene) error {
	return all(
		header("Content-Encoding", "snappy"), header("Content-Type", contentType),
		header("X-Prometheus-Remote-Write-Version", version), headerLike("User-Agent", product),
		func(s *scene) error {
			if got := s.messages[len(s.messages)-1].Header.Get("X-Scope-OrgID"); got != "custom" {
				return fmt.Errorf("header X-Scope-OrgID is %q", got)
			}
			return nil
		},
	)
}

// Rules for labels.

// labelSentences are what a specification says of labels, in the order of labelRules.
type labelSentences [10]string

// labelRules are the rules for labels, which both specifications have.
func labelRules(id string, sentences labelSentences) []rule {
	rules := []rule{
		{do: pushTwice, check: stored(12, 2), wrong: faultIncomplete},
		{check: eachSeries(named), wrong: faultNameless},
		{check: eachSeries(notRepeated), wrong: faultRepeated},
		{check: eachSeries(sorted), wrong: faultUnsorted},
		{check: eachLabel(nameNotEmpty), wrong: faultLabel("", "x")},
		{check: eachLabel(valueNotEmpty), wrong: faultLabel("zone", "")},
		{check: eachLabel(isUTF8), wrong: faultLabel("zone", "\xff")},
		{check: eachSeries(legacyName), wrong: faultMetricName},
		{check: eachLabel(legacyLabelName), wrong: faultLabel("tag-name", "x")},
		{do: pushFamilies, check: all(eachLabel(notReserved), deliveredSome), wrong: faultLabel("__tenant__", "x")},
	}
	for i := range rules {
		r := &rules[i]
		r.id, r.sentence = id+strconv.Itoa(i+1), sentences[i]
		if r.do == nil {
			r.do, r.check = pushDirty, all(r.check, deliveredSeries(delivered))
		}
	}
	return rules
}

func named(s *wireSeries) error {
	if s.name() == "" {
		return errors.New("no label __name__")
	}
	return nil
}

func notRepeated(s *wireSeries) error {
	seen := make(map[string]bool)
	for _, l := range s.labels {
		if seen[l.Name] {
			return fmt.Errorf("label %s twice", l.Name)
		}
		seen[l.Name] = true
	}
	return nil
}

func sorted(s *wireSeries) error {
	if !slices.IsSortedFunc(s.labels, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) }) {
		return errors.New("not sorted")
	}
	return nil
}

func nameNotEmpty(l prompb.Label) error {
	if l.Name == "" {
		return fmt.Errorf("the value %q has no name", l.Value)
	}
	return nil
}

func valueNotEmpty(l prompb.Label) error {
	if l.Value == "" {
		return fmt.Errorf("label %s has no value", l.Name)
	}
	return nil
}

func legacyName(s *wireSeries) error {
	if !legacyMetric.MatchString(s.name()) {
		return fmt.Errorf("metric name %q", s.name())
	}
	return nil
}

func legacyLabelName(l prompb.Label) error {
	if !legacyLabel.MatchString(l.Name) {
		return fmt.Errorf("label name %q", l.Name)
	}
	return nil
}

func notReserved(l prompb.Label) error {
	if l.Name != "__name__" && strings.HasPrefix(l.Name, "__") {
		return fmt.Errorf("label name %q", l.Name)
	}
	return nil
}

// pushFamilies pushes one series of every family, with all its labels.
func pushFamilies(s *scene) {
	s.push(func(yield func(metrics.Series) bool) {
		for _, f := range metrics.Families() {
			labels := []metrics.Label{{Name: "__name__", Value: f.Name}}
			for _, name := range f.Labels {
				labels = append(labels, metrics.Label{Name: strings.TrimSuffix(name, "…"), Value: "x"})
			}
			if !yield(metrics.Series{Family: f, Labels: labels, Value: 1}) {
				return
			}
		}
	})
}

var (
	// faultIncomplete omits labels that were sent before.
	faultIncomplete = fault{series: func(push int, s *wireSeries) bool {
		if push > 1 {
			s.labels = slices.DeleteFunc(s.labels, func(l prompb.Label) bool { return l.Name == "registry_id" })
		}
		return true
	}}
	faultNameless   = faultSeries(func(s *wireSeries) { s.labels = s.labels[1:] })
	faultRepeated   = faultSeries(func(s *wireSeries) { s.labels = append(s.labels, s.labels[len(s.labels)-1]) })
	faultUnsorted   = faultSeries(func(s *wireSeries) { slices.Reverse(s.labels) })
	faultMetricName = faultSeries(func(s *wireSeries) { s.labels[0].Value = "metric.name" })
)

// Rules for stale markers.

// registry has two images, of which one is gone.
func registry() *inventory.Registry {
	repo := &inventory.Repository{Name: "app", URI: "1.dkr.ecr.eu-west-1.amazonaws.com/app", RegistryID: "1", TagMutability: "MUTABLE"}
	r := &inventory.Registry{ID: "1", ListedAt: 1, Repositories: []*inventory.Repository{repo}}
	stays := inventory.Image{Digest: inventory.Digest{1}, Tags: []string{"stays"}, SizeBytes: 1, PushedAt: 1000}
	goes := inventory.Image{Digest: inventory.Digest{2}, Tags: []string{"goes"}, SizeBytes: 2, PushedAt: 1000}
	r.SetImages(repo, []inventory.Image{stays, goes}, 1000)
	r.Pushed(2000, imageTimes, true, nil)
	r.SetImages(repo, []inventory.Image{stays}, 3000)
	return r
}

// imageTimes leaves the families of these tests, whatever others there are.
var imageTimes = inventory.Shape{Families: inventory.Filter{Include: "aws_ecr_image_(size_in_bytes|pushed_at_timestamp_seconds)"}}

func familyTable() *metrics.Table {
	table, err := metrics.New(imageTimes)
	if err != nil {
		panic(err)
	}
	return table
}

// pushStale pushes the series of what exists and the markers of what is gone.
func pushStale(s *scene) {
	r := registry()
	s.push(func(yield func(metrics.Series) bool) {
		for one := range familyTable().All(r, metrics.Options{}) {
			if !yield(one) {
				return
			}
		}
		for one := range familyTable().Stale(r, metrics.Options{}) {
			if !yield(one) {
				return
			}
		}
	})
}

func marker(s *wireSeries) bool {
	return slices.ContainsFunc(s.samples, func(sample prompb.Sample) bool {
		return math.Float64bits(sample.Value) == staleBits
	})
}

func tagOf(s *wireSeries) string {
	for _, l := range s.labels {
		if l.Name == "tag" {
			return l.Value
		}
	}
	return ""
}

// markedOnce requires one sample for each series of the image that is gone.
func markedOnce(s *scene) error {
	n := 0
	for _, w := range s.messages {
		for i := range w.series {
			if tagOf(&w.series[i]) == "goes" {
				n++
			}
		}
	}
	if n != 2 { // its size, and when it was pushed
		return fmt.Errorf("%d series of what is gone, want 2", n)
	}
	return nil
}

// markersOnly requires the marker for what is gone, and for nothing else.
func markersOnly(s *scene) error {
	if err := markedOnce(s); err != nil {
		return err
	}
	return eachSeries(func(series *wireSeries) error {
		if gone := tagOf(series) == "goes"; gone != marker(series) {
			return fmt.Errorf("value bits %x", math.Float64bits(series.samples[0].Value))
		}
		return nil
	})(s)
}

func noMarkers(s *scene) error {
	return all(eachSeries(func(series *wireSeries) error {
		if marker(series) {
			return errors.New("a marker for a series that goes on")
		}
		return nil
	}), deliveredSeries(2))(s)
}

// pushNaN pushes a NaN and a number.
func pushNaN(s *scene) { s.push(values(math.NaN(), 1)) }

func otherNaN(v float64) float64 {
	if math.Float64bits(v) == staleBits {
		return math.NaN()
	}
	return v
}

func asMarker(v float64) float64 {
	if math.IsNaN(v) {
		return metrics.StaleMarker
	}
	return v
}

var faultNoMarkers = fault{series: func(_ int, s *wireSeries) bool { return !math.IsNaN(s.samples[0].Value) }}
