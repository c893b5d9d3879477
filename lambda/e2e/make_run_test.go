package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// drawn matches a line of make run about a dashboard: panels, curves and those that change.
var drawn = regexp.MustCompile(`(?m)^  (Overview|Vulnerabilities|Waste|Exporter) +[0-9]+ +[0-9,]+ +([1-9][0-9,]*)( |$)`)

// make run begins with an hour of past: each dashboard is served and has curves that change,
// and every series that the function pushed can be queried.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("building VictoriaMetrics takes a minute")
	}
	// Two makes at once would build the same file.
	if _, err := buildVictoriaMetrics(); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "run", "ONCE=1", "PORT=0", "ECR_PORT=0")
	cmd.Dir = root
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	}), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var boards []string
	for _, match := range drawn.FindAllSubmatch(out, -1) {
		boards = append(boards, string(match[1]))
	}
	if want := []string{"Overview", "Vulnerabilities", "Waste", "Exporter"}; !slices.Equal(boards, want) {
		t.Errorf("curves that change in the dashboards %q, want them in %q:\n%s", boards, want, out)
	}
	for _, want := range []string{"number and sum of each family are those of the simulated registry", "30 pushes of the function"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}
