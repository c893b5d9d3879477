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
)

func headline(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "\n"+format+"\n", args...)
}

// writeLines writes what things are and what is said of them, in two columns.
func writeLines(w io.Writer, lines [][]string) {
	table := newTable(w)
	for _, line := range lines {
		writeRow(table, line)
	}
	_ = table.Flush() // the terminal's trouble is not ours
}

// writeStarted says what runs where.
func writeStarted(w io.Writer, s *session) {
	have := s.registry.Totals()
	headline(w, "Everything runs on this machine, on 127.0.0.1")
	writeLines(w, [][]string{
		{"simulated ECR", s.registry.server.URL(), plural(have.Repositories, "repository", "repositories") + ", " + plural(have.Images, "image", "images")},
		{"VictoriaMetrics", s.store.url, "its data in " + s.store.folder},
		{"the function", s.bootstrap, "ready after " + took(s.function.environment.InitDuration().Seconds())},
	})
}

// writeSummary says what the function says of its run.
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
		if duration := s.Durations[step]; duration > 0 {
			steps = append(steps, step+" "+took(duration))
		}
	}
	writeLines(w, [][]string{
		{"repositories", fmt.Sprintf("%s, %s of them asked for their images", grouped(s.Repositories), grouped(s.Refreshed))},
		{"images", fmt.Sprintf("%s, %s of them tagged", grouped(s.Images), grouped(s.TaggedImages))},
		{"scan results", fmt.Sprintf("%s asked for, %s pending", grouped(s.Scans.Answered), grouped(s.Scans.Pending))},
		{"series", fmt.Sprintf("%s accepted, %s lost", grouped(s.Accepted), grouped(lost))},
		{"batches", fmt.Sprintf("%s by remote write %s, %s compressed to %s, %s", grouped(s.Batches), s.Protocol, byteSize(float64(s.Bytes)), byteSize(float64(s.BytesCompressed)), plural(s.Retries, "retry", "retries"))},
		{"API calls", fmt.Sprintf("%s; %s throttled", mostCalled(s.Calls), grouped(throttles))},
		{"duration", fmt.Sprintf("%s: %s", took(s.Durations["total"]), strings.Join(steps, ", "))},
	})
}

// mostCalled writes the two operations with the most calls, and how many the others
// have.
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
func writeChecked(w io.Writer, want, have map[string]total, pending int) {
	series := 0
	for family := range want {
		series += have[family].series
	}
	without := ""
	if pending > 0 {
		without = ",\nwithout the scan results of " + plural(pending, "image", "images") + ", which are pending"
	}
	headline(w, "Checked: the %s series of %s can be queried, and no others;\n"+
		"number and sum of each family are those of the simulated registry%s.", grouped(series), plural(len(want), "family", "families"), without)
}

// writeGoingOn says how it goes on, and where to look meanwhile.
func writeGoingOn(w io.Writer, s *session) {
	headline(w, "As graphs, and any other query (refresh is \"Off\" at first: top right)")
	writeLines(w, [][]string{
		{"dashboard", s.store.dashboardURL()},
		{"query", s.store.queryURL(questions[0].promQL)},
	})
	headline(w, "An invocation every %s, by the schedule and for events in turn. Ctrl-C stops everything.", s.every)
	writeHeader(w)
}

// writeLife says what the events show.
func writeLife(w io.Writer) {
	headline(w, "The life of an image, told by ECR's events, and what a query answers after each")
	writeHeader(w)
}

func writeHeader(w io.Writer) {
	fmt.Fprintf(w, "\n%s%-8s   %-8s   %8s   %7s   %s\n", indent, "time", "for", "series", "took", "what happened in the registry")
}

// writeRun writes the one line of a later run.
func writeRun(w io.Writer, s summary, cause, what string) {
	fmt.Fprintf(w, "%s%-8s   %-8s   %8s   %7s   %s\n", indent,
		s.Timestamp.Local().Format(time.TimeOnly), cause, grouped(s.Accepted), took(s.Durations["total"]), what)
}

// writeScheduled writes the line of a run of the schedule.
func writeScheduled(w io.Writer, s summary, changes []string) {
	what := slices.Clone(changes)
	if s.Ended > 0 {
		what = append(what, grouped(s.Ended)+" series ended")
	}
	if s.Scans.Answered > 0 {
		what = append(what, plural(s.Scans.Answered, "scan", "scans")+" asked for")
	}
	if s.Scans.Pending > 0 {
		what = append(what, plural(s.Scans.Pending, "scan", "scans")+" pending")
	}
	writeRun(w, s, "schedule", strings.Join(what, "; "))
}

// lookback is what the graphs show: the last five minutes, a point for each push.
const lookback = "g0.range_input=5m&g0.relative_time=last_5_minutes"

// dashboardURL is where the UI shows the questions as graphs.
func (s *store) dashboardURL() string { return s.url + "/vmui/#/dashboards?" + lookback }

// queryURL is where the UI plots a query.
func (s *store) queryURL(promQL string) string {
	return s.url + "/vmui/#/?" + lookback + "&g0.expr=" + url.QueryEscape(promQL)
}

// took writes a duration in seconds, as a Summary has it.
func took(s float64) string {
	if s < 0.9995 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.2f s", s)
}
