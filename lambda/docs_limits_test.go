package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// limit is a constant behind a value in docs/limits.md: its folder, its name and its unit.
type limit struct{ folder, name, unit string }

// limits are the constants of the rows of docs/limits.md, by their first cell.
var limits = map[string][]limit{
	"time of one request":                     {{"lambda", "awsTimeout", "s"}},
	"attempts of one call":                    {{"pkg/awsapi", "maxAttempts", ""}, {"pkg/awsapi", "minBackoff", "s"}, {"pkg/awsapi", "maxBackoff", "s"}},
	"head of a response":                      {{"lambda", "maxResponseHeader", "KiB"}},
	"body of a response of ECR, decompressed": {{"pkg/ecr", "maxResponse", "bytes"}, {"pkg/ecr", "pageSize", ""}},
	"body of a response with manifests of indexes (`BatchGetImage`)": {{"pkg/ecr", "maxIndexResponse", "MiB"}, {"pkg/ecr", "MaxIndexes", ""}},
	"time for asking STS who calls, before indexes are read":         {{"pkg/ecr", "identityTimeout", "s"}},
	"children of an index, and entries of its manifest":              {{"pkg/ecr", "maxChildren", ""}},
	"body of a response of Inspector":                                {{"pkg/inspector", "maxResponse", "bytes"}},
	"objects in a response, counted as `{`":                          {{"pkg/awsapi", "maxObjects", ""}},
	"elements of lists in a response, counted as commas":             {{"pkg/awsapi", "maxElements", ""}},
	"responses above 1,000,000 bytes read at once":                   nil, // a mutex; see limitsInText
	"text of an error": {{"pkg/awsapi", "maxErrorText", "bytes"}},

	"records of one listing: repositories of the registry, images of a repository": {{"pkg/awsapi", "maxRecords", ""}},
	"pages of one listing": {{"pkg/awsapi", "maxPages", ""}},
	"images of unfinished listings kept for the next run, about 300 bytes each":     {{"pkg/refresh", "maxUnfinished", ""}},
	"listings that have to say that a registry with repositories has none any more": nil, // no constant

	"times":                       nil, // no constants
	"sizes and counts":            nil, // the type's
	"tags of an image":            {{"pkg/ecr", "maxTags", ""}},
	"tags of a repository itself": {{"pkg/ecr", "maxResourceTags", ""}},
	"pull-through cache rules, and replication destinations": {{"pkg/ecr", "maxDetails", ""}},
	"severities of a scan":            {{"pkg/ecr", "maxSeverities", ""}},
	"a text, such as a tag or an ARN": {{"pkg/awsapi", "maxText", "bytes"}},
	"a status or a severity":          {{"pkg/awsapi", "maxWord", "bytes"}},

	"memory of the unpacked state: its size, and 100 bytes for each record": {{"pkg/inventory", "maxUnpacked", "GiB"}},
	"one record":                                 {{"pkg/inventory", "maxItem", "MiB"}, {"pkg/ecr", "maxTags", ""}},
	"elements of a list in a record":             {{"pkg/inventory", "maxElements", ""}},
	"temporary files that killed processes left": {{"pkg/state", "spoolAge", "h"}},

	"time for refreshing": {{"pkg/exporter", "keptForPush", "s"}},
	"different media types, artifact types, statuses and severities in a process": {{"pkg/inventory", "maxWords", ""}},
	"indexes read in a run":                                                                   {{"pkg/refresh", "maxIndexes", ""}},
	"time until an index that cannot be read is tried again":                                  {{"pkg/refresh", "failedRetry", "min"}, {"pkg/refresh", "longestIndexRetry", "h"}},
	"requests for scans of a repository that was denied":                                      nil, // no constant
	"repositories denied, and none permitted, before the summary is used instead of findings": {{"pkg/refresh", "allDenied", ""}},
	"errors of a refresh that are returned, and warnings that are logged":                     {{"pkg/refresh", "maxErrors", ""}},
	"repositories of events whose settings are read one by one":                               {{"pkg/refresh", "maxDescribed", ""}},
	"names of such repositories kept for the next run because reading them failed":            {{"pkg/inventory", "MaxDueNames", ""}},
	"an event given by `-event`, as one that Lambda invokes a function with":                  {{"lambda", "maxEvent", "MiB"}},
	"severities of an event":                                                                  {{"lambda", "maxSeverities", ""}},
	"a status or a severity of an event":                                                      {{"pkg/awsapi", "maxWord", "bytes"}},

	"splits of batches in a push, after 413 or repeated 429":          {{"pkg/remotewrite", "splitsPerWorker", ""}},
	"429 to the same request body before it is split":                 {{"pkg/remotewrite", "splitAfter", ""}},
	"staleness markers that the receiver has not accepted or refused": {{"pkg/exporter", "maxMarkers", ""}},
	"body of a response":                {{"pkg/remotewrite", "maxBodyRead", "KiB"}, {"pkg/remotewrite", "maxErrorBody", "KiB"}, {"pkg/remotewrite", "bodyTimeout", "s"}},
	"series sent to an AMP workspace":   {{"pkg/exporter", "RampAbove", ""}},
	"time of the query with its answer": {{"pkg/exporter", "keptForPush", "s"}},
	"answer of the store":               {{"pkg/running", "maxAnswer", "MiB"}},
	"digests and references kept":       {{"pkg/inventory", "MaxRunning", ""}, {"pkg/inventory", "RunningKept", "h"}},
	"a reference":                       {{"pkg/inventory", "maxReference", "bytes"}},
	"`Retry-After`":                     {{"pkg/remotewrite", "DefaultMaxRetryAfter", "min"}},

	"its state, an S3 list of targets, and the kept answer of the query": {{"pkg/state", "MaxObject", "MiB"}},
	"messages in a batch":                           {{"pkg/fleet", "batchMessages", ""}, {"pkg/fleet", "batchBytes", "bytes"}},
	"times that a message is sent that SQS refuses": {{"pkg/fleet", "maxSends", ""}},
	"accounts asked for their Regions in a plan":    {{"pkg/fleet", "regionsAccounts", ""}, {"pkg/fleet", "accountTimeout", "s"}, {"pkg/fleet", "regionsKept", "h"}},
	"body of a response of SQS or EC2":              {{"pkg/fleet", "maxResponse", "bytes"}},
	"age of the kept answer of the query":           {{"pkg/fleet", "snapshotKept", "min"}},
	"a name in it":                                  {{"pkg/fleet", "maxName", "bytes"}},
}

// Numbers in other columns or first cells that are limits, too.
var limitsInText = map[limit]string{
	{"pkg/awsapi", "largeResponse", "bytes"}: "responses above %s",
	{"pkg/inventory", "itemMemory", "bytes"}: "and %s for each record",
	{"pkg/ecr", "smallPage", ""}:             "read once more with %s images",
	{"pkg/refresh", "maxDescribed", ""}:      "more than %s are read by a listing",
}

// The values in docs/limits.md are those of the constants, and each row with a number has one.
func TestLimits(t *testing.T) {
	t.Parallel()
	text := readFile(t, "../docs/limits.md")
	constants := map[string]map[string]ast.Expr{}
	value := func(l limit) string {
		if constants[l.folder] == nil {
			constants[l.folder] = constantsOf(t, "../"+l.folder)
		}
		v := evaluate(t, constants[l.folder], l.name)
		n, exact := constant.Float64Val(v)
		if !exact && l.unit != "s" {
			t.Fatalf("%s.%s is %v", l.folder, l.name, v)
		}
		return l.format(n)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, " | ")
		bound, isRow := strings.CutPrefix(cells[0], "| ")
		if !isRow || bound == "bound" || len(cells) < 2 {
			continue
		}
		seen[bound] = true
		want, known := limits[bound]
		if !known && regexp.MustCompile(`\d`).MatchString(cells[1]) {
			t.Errorf("no constant is known for %q: %s", bound, cells[1])
		}
		for _, l := range want {
			if !containsNumber(cells[1], value(l)) {
				t.Errorf("%q: %s, but %s.%s is %s", bound, cells[1], l.folder, l.name, value(l))
			}
		}
	}
	for bound := range limits {
		if !seen[bound] {
			t.Errorf("docs/limits.md has no row %q", bound)
		}
	}
	for l, format := range limitsInText {
		if want := fmt.Sprintf(format, value(l)); !strings.Contains(text, want) {
			t.Errorf("docs/limits.md does not have %q", want)
		}
	}
}

// format writes a value as docs/limits.md does.
func (l limit) format(n float64) string {
	seconds := n / float64(time.Second)
	switch l.unit {
	case "s":
		if seconds == 1 {
			return "a second"
		}
		return strings.TrimSuffix(fmt.Sprintf("%.1f", seconds), ".0") + " s"
	case "min":
		return strings.Replace(fmt.Sprintf("%g minutes", seconds/60), "1 minutes", "one minute", 1)
	case "h":
		return strings.Replace(fmt.Sprintf("%g hours", seconds/3600), "1 hours", "one hour", 1)
	case "KiB":
		return fmt.Sprintf("%g KiB", n/(1<<10))
	case "MiB":
		return fmt.Sprintf("%g MiB", n/(1<<20))
	case "GiB":
		return fmt.Sprintf("%g GiB", n/(1<<30))
	case "bytes":
		return quantity.Grouped(int(n)) + " bytes"
	}
	return quantity.Grouped(int(n))
}

// containsNumber reports whether a text has a value that is not a part of a longer one.
func containsNumber(text, value string) bool {
	return regexp.MustCompile(`(^|[^\d,.])` + regexp.QuoteMeta(value) + `($|[^\d,]|,[^\d])`).MatchString(text)
}

// constantsOf returns the constants of a package, without tests.
func constantsOf(t *testing.T, folder string) map[string]ast.Expr {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]ast.Expr{}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), folder+"/"+entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			decl, ok := decl.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for _, spec := range decl.Specs {
				if spec := spec.(*ast.ValueSpec); len(spec.Names) == len(spec.Values) {
					for i, name := range spec.Names {
						found[name.Name] = spec.Values[i]
					}
				}
			}
		}
	}
	return found
}

// evaluate computes a constant from literals, units of time and other constants.
func evaluate(t *testing.T, constants map[string]ast.Expr, name string) constant.Value {
	t.Helper()
	expr, known := constants[name]
	if !known {
		t.Fatalf("there is no constant %s", name)
	}
	text := types.ExprString(expr)
	for unit, d := range map[string]time.Duration{"time.Hour": time.Hour, "time.Minute": time.Minute, "time.Second": time.Second, "time.Millisecond": time.Millisecond} {
		text = strings.ReplaceAll(text, unit, fmt.Sprint(int64(d)))
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil {
		t.Fatalf("%s = %s: %v", name, text, err)
	}
	return v.Value
}
