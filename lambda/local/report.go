//go:build unix

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

func headline(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "\n"+format+"\n", args...)
}

// writeLines writes lines in columns.
func writeLines(w io.Writer, lines [][]string) {
	table := newTable(w)
	for _, line := range lines {
		writeRow(table, line)
	}
	_ = table.Flush() // errors of the terminal are ignored
}

// writeStarted writes the addresses of what was started.
func writeStarted(w io.Writer, s *session) {
	totals := s.world.Registry.Totals()
	headline(w, "Everything runs on this machine, on 127.0.0.1")
	writeLines(w, [][]string{
		{"simulated ECR", s.world.Registry.Server.URL(), plural(totals.Repositories, "repository", "repositories") + ", " + plural(totals.Images, "image", "images")},
		{"simulated cluster", "", plural(len(s.world.Cluster.Pods), "pod", "pods") + ", one of each kind in docs/queries.md, as kube-state-metrics reports them"},
		{"VictoriaMetrics", s.store.URL, "its data in " + s.store.Folder},
		{"the function", s.bootstrap, "ready after " + duration(s.function.environment.InitDuration().Seconds())},
		{"the past hour", "", s.past.text()},
	})
}

// text describes what the store has of the past.
func (p *pastHour) text() string {
	if p.pushes == 0 {
		return "none: -hour is not set"
	}
	return fmt.Sprintf("%d pushes of the function in virtual time, %s, stored in %s", p.pushes, byteSize(float64(p.bytes)), duration(p.took.Seconds()))
}

// writeSummary writes a run's Summary.
func writeSummary(w io.Writer, s summary) {
	headline(w, "The first push")
	lost := s.Refused + s.Unconfirmed + s.NotSent
	for _, n := range s.Dropped {
		lost += n
	}
	throttles := 0
	for _, n := range s.Throttles {
		throttles += n
	}
	var steps []string
	for _, step := range []string{"load", "refresh", "push", "save", "report"} {
		if seconds := s.Durations[step]; seconds > 0 {
			steps = append(steps, step+" "+duration(seconds))
		}
	}
	writeLines(w, [][]string{
		{"repositories", fmt.Sprintf("%s, images of %s listed", grouped(s.Repositories), grouped(s.Refreshed))},
		{"images", fmt.Sprintf("%s, %s of them tagged", grouped(s.Images), grouped(s.TaggedImages))},
		{"scan results", fmt.Sprintf("%s read, %s pending", grouped(s.Scans.Answered), grouped(s.Scans.Pending))},
		{"series", fmt.Sprintf("%s accepted, %s lost", grouped(s.Accepted), grouped(lost))},
		{"batches", fmt.Sprintf("%s by remote write %s, %s compressed to %s, %s", grouped(s.Batches), s.Protocol, byteSize(float64(s.Bytes)), byteSize(float64(s.BytesCompressed)), plural(s.Retries, "retry", "retries"))},
		{"API calls", fmt.Sprintf("%s; %s throttled", mostCalled(s.Calls), grouped(throttles))},
		{"duration", fmt.Sprintf("%s: %s", duration(s.Durations["total"]), strings.Join(steps, ", "))},
	})
}

// mostCalled formats the calls of the two most frequent operations, and of all others.
func mostCalled(calls map[string]int) string {
	var texts []string
	others := 0
	for i, operation := range slices.SortedFunc(maps.Keys(calls), func(a, b string) int {
		return cmp.Or(cmp.Compare(calls[b], calls[a]), strings.Compare(a, b))
	}) {
		if i < 2 {
			texts = append(texts, grouped(calls[operation])+" "+operation)
		} else {
			others += calls[operation]
		}
	}
	if others > 0 {
		texts = append(texts, plural(others, "other", "others"))
	}
	return strings.Join(texts, ", ")
}

// writeChecked reports that the store has what was expected.
func writeChecked(w io.Writer, want, have map[string]localtest.Total, pending int) {
	series := 0
	for family := range want {
		series += have[family].Series
	}
	without := ""
	if pending > 0 {
		without = ",\nwithout the scan results of " + plural(pending, "image", "images") + ", which are pending"
	}
	headline(w, "Checked: the %s series of %s can be queried, and no others;\n"+
		"number and sum of each family are those of the simulated registry%s.", grouped(series), plural(len(want), "family", "families"), without)
}

// writeDrawn writes what the dashboards show of the past hour.
func writeDrawn(w io.Writer, boards []drawn) {
	headline(w, "Checked: what the dashboards show of the past hour")
	fmt.Fprintln(w)
	table := newTable(w)
	writeRow(table, []string{"dashboard", "panels", "curves", "that change", "without data"})
	for _, d := range boards {
		writeRow(table, []string{d.title, grouped(d.panels), grouped(d.curves), grouped(d.changing), strings.Join(d.empty, ", ")})
	}
	_ = table.Flush() // errors of the terminal are ignored
}

// writeOtherPods writes where to read about the pods that a query did not find.
func writeOtherPods(w io.Writer, n int) {
	fmt.Fprintf(w, "\n%sdocs/queries.md says why %s not here.\n", indent, plural(n, "other pod is", "other pods are"))
}

// writeContinuing writes where to look while invocations continue.
func writeContinuing(w io.Writer, s *session) {
	headline(w, "Graphs, and any other query (refresh is \"Off\" at first: top right)")
	writeLines(w, [][]string{
		{"dashboards", dashboardURL(s.store.URL)},
		{"query", queryURL(s.store.URL, queries[0].promQL)},
		{"pods, by digest", tableURL(s.store.URL, podQueries[0].promQL)},
		{"pods, by image", tableURL(s.store.URL, podQueries[1].promQL)},
	})
	headline(w, "An invocation every %s, for the schedule and for events in turn. Ctrl-C stops everything.", s.every)
	writeHeader(w)
}

// writeImageEvents writes the headline of the lines about an image.
func writeImageEvents(w io.Writer) {
	headline(w, "The life of an image by its events in ECR, and the result of a query after each")
	writeHeader(w)
}

func writeHeader(w io.Writer) {
	fmt.Fprintf(w, "\n%s%-8s   %-8s   %8s   %7s   %s\n", indent, "time", "for", "series", "took", "what happened in the registry")
}

// writeRun writes the line of a later run.
func writeRun(w io.Writer, s summary, cause, what string) {
	fmt.Fprintf(w, "%s%-8s   %-8s   %8s   %7s   %s\n", indent,
		s.Timestamp.Local().Format(time.TimeOnly), cause, grouped(s.Accepted), duration(s.Durations["total"]), what)
}

// writeScheduled writes the line of a scheduled run.
func writeScheduled(w io.Writer, s summary, changes []string) {
	what := slices.Clone(changes)
	if s.Ended > 0 {
		what = append(what, grouped(s.Ended)+" series ended")
	}
	if s.Scans.Answered > 0 {
		what = append(what, plural(s.Scans.Answered, "scan", "scans")+" read")
	}
	if s.Scans.Pending > 0 {
		what = append(what, plural(s.Scans.Pending, "scan", "scans")+" pending")
	}
	writeRun(w, s, "schedule", strings.Join(what, "; "))
}

// lookback makes graphs show the last hour.
const lookback = "g0.range_input=1h&g0.relative_time=last_1_hour"

// dashboardURL is the page of the UI at url with the dashboards.
func dashboardURL(url string) string { return url + "/vmui/#/dashboards?" + lookback }

// queryURL is the page of the UI at base with the graph of a query.
func queryURL(base, promQL string) string {
	return base + "/vmui/#/?" + lookback + "&g0.expr=" + url.QueryEscape(promQL)
}

// tableURL is the page of the UI at base with the result of a query as a table.
func tableURL(base, promQL string) string { return queryURL(base, promQL) + "&g0.tab=1" }

// duration formats a duration in seconds, as a Summary has it.
func duration(s float64) string {
	if s < 0.9995 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.2f s", s)
}
