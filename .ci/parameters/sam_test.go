package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const region = "eu-west-1"

// samCommand runs the SAM CLI in a folder with the template and with AWS at an endpoint.
// Without the SAM CLI the test is skipped, but not in CI, where it has to be installed.
func samCommand(t *testing.T, endpoint string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("sam")
	if err != nil {
		// Where make installs it.
		path, err = exec.LookPath(filepath.Join("..", "..", ".build", "venv", "bin", "sam"))
	}
	if err != nil {
		const missing = "no sam in PATH or .build/venv/bin: make .build/venv"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	// sam deploy uploads the texts that the template names beside itself.
	for _, name := range []string{"template.yaml", "LICENSE", "README.md"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(template), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(), // without a user's AWS configuration
		"AWS_ENDPOINT_URL=" + endpoint, "HTTPS_PROXY=" + endpoint,
		"AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"SAM_CLI_TELEMETRY=0", "TERM=dumb", "LC_ALL=C.UTF-8",
	}
	return cmd
}

// parameterNames returns the template's parameters in order.
func parameterNames(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Parameters yaml.Node `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(document.Parameters.Content); i += 2 {
		names = append(names, document.Parameters.Content[i].Value)
	}
	return names
}

// prompt is a question of sam deploy --guided: a name and, in brackets, a default.
var prompt = regexp.MustCompile(`(?m)^\s*([A-Z][^\n\[]*?) \[([^\]\n]*)\]: ?$`)

// escapes are those of the terminal: bold on and off.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// At a terminal sam deploy --guided asks for each parameter once, with its default, and
// reaches its last question; then it calls AWS, which is not there.
func TestGuidedDeploy(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()
	cmd := samCommand(t, closed, "deploy", "--guided")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 4096)
			n, err := terminal.Read(buffer) // EIO when the program has ended
			if err != nil {
				return
			}
			chunks <- buffer[:n]
		}
	}()

	type question struct{ Name, Default string }
	var asked []question
	var all strings.Builder
	answered := 0 // bytes
	timeout := time.After(10 * time.Minute)
read:
	for {
		select {
		case chunk, ok := <-chunks:
			if !ok {
				break read
			}
			all.Write(chunk)
		case <-timeout:
			_ = cmd.Process.Kill()
			t.Errorf("no question and no end after ten minutes")
			break read
		}
		seen := strings.ReplaceAll(escapes.ReplaceAllString(all.String(), ""), "\r", "")
		matches := prompt.FindAllStringSubmatch(seen[answered:], -1)
		for _, match := range matches {
			q := question{strings.TrimPrefix(match[1], "Parameter "), match[2]}
			asked = append(asked, q)
			answer := "\n"
			if q.Name == "WorkspaceId" {
				answer = "ws-1\n"
			}
			if len(asked) > 100 {
				_ = cmd.Process.Kill()
				t.Fatalf("asked without end:\n%s", seen)
			}
			if _, err := terminal.WriteString(answer); err != nil {
				t.Fatal(err)
			}
		}
		if len(matches) > 0 {
			answered = len(seen)
		}
	}
	for range chunks { // if it was killed
	}
	if err := cmd.Wait(); err == nil {
		t.Error("sam deploy succeeded without AWS")
	}

	names, byDefault := parameterNames(t), defaults(t, nil)
	want := []question{{"Stack Name", "sam-app"}, {"AWS Region", region}}
	for _, name := range names {
		want = append(want, question{name, byDefault[name]})
	}
	want = append(want, question{"Confirm changes before deploy", "y/N"}, question{"Allow SAM CLI IAM role creation", "Y/n"},
		question{"Disable rollback", "y/N"}, question{"Save arguments to configuration file", "Y/n"},
		question{"SAM configuration file", "samconfig.toml"}, question{"SAM configuration environment", "default"})
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("questions (-want +asked):\n%s\n%s", diff, &all)
	}
	if !strings.Contains(all.String(), "Looking for resources needed for deployment") {
		t.Errorf("the end was not reached:\n%s", &all)
	}
}

// fakeCloudFormation has a stack of every parameter, and takes uploads. It refuses the
// change set.
type fakeCloudFormation struct {
	mu   sync.Mutex
	keys []string          // the template's parameters
	sent map[string]string // the change set's
}

func (f *fakeCloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodPost { // S3
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	_ = r.ParseForm()
	reply := func(status int, body string) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
	switch action := r.PostForm.Get("Action"); action {
	case "DescribeStacks":
		reply(200, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	case "GetTemplateSummary":
		members := ""
		for _, key := range f.keys {
			members += "<member><ParameterKey>" + key + "</ParameterKey></member>"
		}
		reply(200, `<GetTemplateSummaryResponse><GetTemplateSummaryResult><Parameters>`+members+`</Parameters></GetTemplateSummaryResult></GetTemplateSummaryResponse>`)
	case "CreateChangeSet":
		f.sent = map[string]string{}
		for i := 1; r.PostForm.Has(fmt.Sprintf("Parameters.member.%d.ParameterKey", i)); i++ {
			prefix := fmt.Sprintf("Parameters.member.%d.", i)
			value := r.PostForm.Get(prefix + "ParameterValue")
			if r.PostForm.Get(prefix+"UsePreviousValue") == "true" {
				value = "(previous value)"
			}
			f.sent[r.PostForm.Get(prefix+"ParameterKey")] = value
		}
		fallthrough
	default:
		reply(400, `<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>refused `+action+`</Message></Error></ErrorResponse>`)
	}
}

// What make deploy prepares reaches CloudFormation as it is, with a value for every
// parameter. What plain sam deploy is not given keeps its previous value; an empty value
// in quotes does not, which is the way back to a default.
func TestDeploySendsEveryParameter(t *testing.T) {
	t.Parallel()
	names := parameterNames(t)
	fake := &fakeCloudFormation{keys: names}
	server := httptest.NewServer(fake)
	defer server.Close()
	deploy := func(overrides ...string) map[string]string {
		cmd := samCommand(t, server.URL, append([]string{"deploy", "--stack-name", "s", "--s3-bucket", "uploads", "--capabilities", "CAPABILITY_IAM", "--parameter-overrides"}, overrides...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("refused CreateChangeSet")) {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		fake.mu.Lock()
		defer fake.mu.Unlock()
		return fake.sent
	}

	list := filepath.Join(t.TempDir(), "parameters.yaml")
	if err := run(template, docs, "", "", `RemoteWriteUrl=https://h.example/ ExternalLabels="cluster=it's \"a\"" Settings='TAGS_INCLUDE=v\d+ \\w;`+"\n"+`ECR_CONCURRENCY=4'`, list); err != nil {
		t.Fatal(err)
	}
	want := defaults(t, nil)
	want["RemoteWriteUrl"], want["ExternalLabels"], want["Settings"] = "https://h.example/", `cluster=it's "a"`, `TAGS_INCLUDE=v\d+ \\w;`+"\nECR_CONCURRENCY=4"
	if diff := cmp.Diff(want, deploy("file://"+list)); diff != "" {
		t.Errorf("parameters (-want +sent):\n%s", diff)
	}

	for _, name := range names {
		want[name] = "(previous value)"
	}
	want["WorkspaceId"], want["RemoteWriteUrl"], want["EventRules"] = "ws-1", "", "ENABLED"
	if diff := cmp.Diff(want, deploy("WorkspaceId=ws-1", `RemoteWriteUrl=""`, "EventRules=ENABLED")); diff != "" {
		t.Errorf("parameters of plain sam deploy (-want +sent):\n%s", diff)
	}
}

// Wrong parameters end make deploy before SAM runs, here echo in its place.
func TestMakeDeployChecksParameters(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	if err := os.MkdirAll(filepath.Join(root, ".build"), 0o750); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(filepath.Join(root, ".build"), "deploy-") //nolint:usetesting // OUT is relative to the Makefile
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for parameters, want := range map[string]string{
		"":                           "WorkspaceId is still the placeholder YOUR-WORKSPACE-ID",
		"WorkspaceId=ws-1 Unknown=1": "Unknown is not a parameter of the template",
		"WorkspaceId=ws-1":           "",
	} {
		cmd := exec.CommandContext(t.Context(), "make", "-C", root, "deploy", "SAM=echo sam", "OUT="+filepath.Join(".build", filepath.Base(folder)), "PARAMETERS="+parameters)
		out, err := cmd.CombinedOutput()
		lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool { return !strings.HasPrefix(line, "sam ") })
		if (err == nil) != (want == "") || !strings.Contains(string(out), want) || (len(lines) == 2) != (want == "") {
			t.Errorf("%q: %v\n%s", parameters, err, out)
		}
	}
}
