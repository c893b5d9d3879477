package targets_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

var defaults = targets.Defaults{Account: "111122223333", Partition: "aws", Region: "eu-west-1", Role: "ecr-remote-write", ExternalID: "id-1", Interval: 2 * time.Minute}

const roleOf2 = "arn:aws:iam::222233334444:role/ecr-remote-write"

// check refuses SCAN_SOURCE=bad, and any name that it does not know.
func check(settings map[string]string) map[string]string {
	refused := map[string]string{}
	for name, value := range settings {
		if name == "SCAN_SOURCE" && value == "bad" {
			refused[name] = "want auto, findings, inspector, summary or none"
		} else if !slices.Contains([]string{"SCAN_SOURCE", "REPOSITORIES_INCLUDE", "IMAGES_PER_REPOSITORY", "INDEX_SCANS"}, name) {
			refused[name] = "not a setting of a target"
		}
	}
	return refused
}

func TestParseList(t *testing.T) {
	t.Parallel()
	d, err := targets.ParseList(" 222233334444:us-east-1,111122223333:eu-west-1 ,333344445555:*", defaults)
	if err != nil {
		t.Fatal(err)
	}
	own := targets.Target{Account: "111122223333", Region: "eu-west-1", Interval: 2 * time.Minute, RegionLabel: true}
	other := own
	other.Account, other.Region, other.Role, other.ExternalID = "222233334444", "us-east-1", roleOf2, "id-1"
	all, unknown, err := d.Expand(nil)
	if diff := cmp.Diff([]targets.Target{own, other}, all); diff != "" || !slices.Equal(unknown, []string{"333344445555"}) || err != nil {
		t.Errorf("unknown %v, error %v, -want +got:\n%s", unknown, err, diff)
	}
	all, unknown, err = d.Expand(map[string][]string{"333344445555": {"us-east-1", "ap-south-1", "us-east-1"}, "111122223333": {"us-east-1"}})
	var names []string
	for _, target := range all {
		names = append(names, target.String())
	}
	want := []string{"111122223333/eu-west-1", "222233334444/us-east-1", "333344445555/ap-south-1", "333344445555/us-east-1"}
	if !slices.Equal(names, want) || len(unknown) > 0 || err != nil {
		t.Errorf("targets %v, unknown %v, error %v", names, unknown, err)
	}
	if open := d.Unexpanded(); len(open) != 1 || open[0].Account != "333344445555" || open[0].Role == "" {
		t.Errorf("unexpanded: %+v", open)
	}
	for place, want := range map[string]bool{
		"111122223333/eu-west-1": true, "111122223333/eu-west-2": false, "333344445555/eu-west-2": true, "333344445555/*": false,
		"333344445555/x": false, "444455556666/eu-west-1": false,
	} {
		account, region, _ := strings.Cut(place, "/")
		if found, ok := d.Find(account, region); ok != want || ok && found.String() != place {
			t.Errorf("Find(%s) = %+v, %v", place, found, ok)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	t.Parallel()
	var list []string
	regions := map[string][]string{}
	for i := range 700 {
		account := fmt.Sprintf("%012d", i)
		list = append(list, account+":*")
		for j := range 30 {
			regions[account] = append(regions[account], fmt.Sprintf("eu-%c%c-1", 'a'+j/6, 'a'+j%6))
		}
	}
	d, err := targets.ParseList(strings.Join(list, ","), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if all, _, err := d.Expand(regions); len(all) != 20000 || err == nil || err.Error() != "expanding the Regions of all accounts: 21000 targets, at most 20000 are supported" {
		t.Errorf("%d targets, error %v", len(all), err)
	}
}

// The label is on all series, or on none: one Region of each account needs none.
func TestRegionLabel(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]bool{
		"111122223333:eu-west-1":                                                  false,
		"111122223333:eu-west-1,222233334444:us-east-1":                           false,
		"111122223333:eu-west-1,222233334444:us-east-1,222233334444:eu-central-1": true,
		"111122223333:eu-west-1,222233334444:*":                                   true,
		"111122223333:eu-west-1,222233334444:eusc-de-east-1":                      false,
	} {
		d, err := targets.ParseList(list, defaults)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := d.Find("111122223333", "eu-west-1"); got.RegionLabel != want {
			t.Errorf("%s: label %v", list, got.RegionLabel)
		}
	}
}

func TestParseListFaults(t *testing.T) {
	t.Parallel()
	bad := defaults
	bad.Role, bad.ExternalID, bad.Interval = "a b", "x", 90*time.Second
	_, err := targets.ParseList("1:eu-west-1,222233334444:us-east-1,222233334444:us-east-1,222233334444:*,333344445555,333344445555:EU", bad)
	want := `the targets have 8 faults:
  TARGET_EXTERNAL_ID: want 2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -
  TARGET_ROLE: want the name of a role, after its path if it has one, or an ARN of the function's partition with ACCOUNT, or the target's own account, as the account
  target 1: want ACCOUNT:REGION or ACCOUNT:*, with twelve digits and the name of an AWS Region
  target 3: 222233334444/us-east-1 is listed twice
  target 4: account 222233334444 has other Regions besides "*", which has all
  target 5: want ACCOUNT:REGION or ACCOUNT:*, with twelve digits and the name of an AWS Region
  target 6: want ACCOUNT:REGION or ACCOUNT:*, with twelve digits and the name of an AWS Region
  the default interval: want whole minutes from 1m to 24h, as 2m, 1h30m or 1d`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := targets.ParseList("", defaults); err == nil {
		t.Error("an empty list is accepted")
	}
}

func readExample(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../docs/targets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseDocument(t *testing.T) {
	t.Parallel()
	d, err := targets.ParseDocument(readExample(t), defaults, check)
	if err != nil {
		t.Fatal(err)
	}
	labels, settings := map[string]string{"org": "example"}, map[string]string{"SCAN_SOURCE": "inspector"}
	own := targets.Target{Account: "111122223333", Region: "us-east-1", Name: "platform", Interval: 2 * time.Minute, Labels: labels, Settings: settings, RegionLabel: true}
	payments := targets.Target{
		Account: "222233334444", Region: "eu-north-1", Name: "payments", Role: roleOf2, ExternalID: "some-id", Interval: 2 * time.Minute, RegionLabel: true,
		Labels:   map[string]string{"org": "example", "env": "prod"},
		Settings: map[string]string{"SCAN_SOURCE": "inspector", "REPOSITORIES_INCLUDE": "shop/.*", "IMAGES_PER_REPOSITORY": "50"},
	}
	archive := targets.Target{Account: "333344445555", Region: "eu-west-1", Name: "archive", Role: "arn:aws:iam::333344445555:role/readers/ecr", ExternalID: "some-id", Interval: time.Hour, Labels: labels, Settings: settings, RegionLabel: true}
	for _, want := range []targets.Target{own, payments, archive} {
		got, _ := d.Find(want.Account, want.Region)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// What docs/targets.md does not name does not exist.
func TestDocumentIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, err = targets.ParseDocument([]byte("targets: [{x: 1}]"), defaults, nil)
	_, fields, found := strings.Cut(fmt.Sprint(err), "targets[0].x: not a field, want one of ")
	fields, _, _ = strings.Cut(fields, "\n")
	if !found || len(strings.Fields(fields)) != 8 {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(fields) {
		if !strings.Contains(string(page), "\n| `"+field+"` |") {
			t.Errorf("docs/targets.md has no row for %s", field)
		}
	}
}

func TestParseDocumentVariants(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]targets.Target{
		"targets: [{account: 222233334444}]":                                                                    {Role: roleOf2, ExternalID: "id-1"},
		"targets: [{account: '222233334444', external_id: ''}]":                                                 {Role: roleOf2},
		"targets: [{account: '222233334444', interval: 1d}]":                                                    {Role: roleOf2, ExternalID: "id-1", Interval: 24 * time.Hour},
		"targets: [{account: '222233334444', role: path/x}]":                                                    {Role: "arn:aws:iam::222233334444:role/path/x", ExternalID: "id-1"},
		"targets: [{account: '222233334444', settings: {INDEX_SCANS: true}}]":                                   {Role: roleOf2, ExternalID: "id-1", Settings: map[string]string{"INDEX_SCANS": "true"}},
		"targets: [{account: '222233334444', regions: &r [eu-west-1]}, {account: '333344445555', regions: *r}]": {Role: roleOf2, ExternalID: "id-1"},
		"targets: [{account: '222233334444', labels: {a: own}}]\ndefaults: {labels: {a: x}}":                    {Role: roleOf2, ExternalID: "id-1", Labels: map[string]string{"a": "own"}},
		"defaults: {role: 'arn:aws:iam::222233334444:role/fixed'}\ntargets: [{account: '222233334444'}]":        {Role: "arn:aws:iam::222233334444:role/fixed", ExternalID: "id-1"},
	} {
		want.Account, want.Region = "222233334444", "eu-west-1"
		want.Interval = max(want.Interval, 2*time.Minute)
		d, err := targets.ParseDocument([]byte(text), defaults, check)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, _ := d.Find(want.Account, want.Region)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
	own, err := targets.ParseDocument([]byte("targets: [{account: '111122223333', role: self}]"), defaults, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := own.Find("111122223333", "eu-west-1"); got.Role != "arn:aws:iam::111122223333:role/self" {
		t.Errorf("the own account's role: %q", got.Role)
	}
}

const faulty = `defaults:
  account: "111122223333"
  name: x
  role: arn:aws-cn:iam::ACCOUNT:role/x
  interval: 90s
  labels: {__a: b, region: x}
  settings: {SCAN_SOURCE: bad, REMOTE_WRITE_PASSWORD: hunter2}
  "odd\nname": 1
other: 1
targets:
  - account: 1234
    regions: [eu-west-1, EU, "*", null]
    role: arn:aws:iam::999999999999:role/x
    labels: [a]
  - account: "222233334444"
    regions: [eu-west-1, eu-west-1]
    interval: 120
    settings:
      SCAN_SOURCE: auto
      lower: x
      INDEX_SCANS: [true]
    account: "222233334444"
  - name: nobody
    regions: []
    external_id: "a b"
  - account: "222233334444"
    regions: ["*"]
    interval: 48h
    role: null
  - text
`

func TestParseDocumentFaults(t *testing.T) {
	t.Parallel()
	_, err := targets.ParseDocument([]byte(faulty), defaults, check)
	text := fmt.Sprint(err) + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("testdata/faults.txt", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/faults.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if strings.Contains(text, "hunter2") {
		t.Error("a value is shown")
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2000)
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for text, want := range map[string]string{
		"":                       "the document is empty, want targets",
		"# nothing\n---\n":       "the document is empty, want targets",
		"null":                   "the document is empty, want targets",
		"[]":                     "line 1: want at most 16 fields, as name: value",
		"targets:":               "line 1: targets: want a list of 1 to 20000",
		"defaults: {}":           "line 1: targets: want at least one",
		"a: [b":                  "not YAML: line 1: did not find expected ',' or ']'",
		"targets: *x":            "not YAML: unknown anchor 'x' referenced",
		"targets: []\n---\na: 1": "want one document, and nothing after it",
		"targets: &t [*t]":       "line 1: targets[0]: want at most 16 fields, as name: value",
		"? [a]\n: b\n":           "line 1: want a word as a field's name\n  line 1: targets: want at least one",
		"targets: [{account: '222233334444', labels: {" + many(33, "a%d: x,") + "}}]":        "line 1: targets[0].labels: want at most 32 fields, as name: value",
		"targets: [{account: '222233334444', labels: {" + many(10, "a%d: "+long+",") + "}}]": "line 1: targets[0]: want labels and settings of at most 16384 bytes together",
		"targets: [" + many(20001, "a%d,") + "]":                                             "line 1: targets: want a list of 1 to 20000",
		strings.Repeat("#", 4<<20) + "\n":                                                    "want at most 4194304 bytes",
		"targets: [" + many(5001, "{account: '%012d', regions: [eu-west-1]},") + "]":         "line 1: targets[5000].regions: want at most 5000 accounts, 64 Regions for each, and 20000 targets in all",
	} {
		_, err := targets.ParseDocument([]byte(text), defaults, check)
		if _, got, _ := strings.Cut(strings.Replace(fmt.Sprint(err), ":\n ", ":", 1), ": "); got != want {
			t.Errorf("%.60q: got %s\nwant %s", text, got, want)
		}
	}
}

// A document in which each alias stands for many others takes no more than its own size.
func TestAliasesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 50))
	}
	b.WriteString("targets: *a99\n")
	if _, err := targets.ParseDocument([]byte(b.String()), defaults, nil); err == nil {
		t.Error("accepted")
	}
	var faults targets.Faults
	_, err := targets.ParseDocument([]byte("defaults: {labels: &l {a-b: x}}\ntargets: ["+strings.Repeat("&t {account: '222233334444', labels: *l},", 1)+strings.Repeat("*t,", 19999)+"]"), defaults, nil)
	if f, ok := err.(targets.Faults); ok { //nolint:errorlint // documented as the type
		faults = f
	}
	if lines := strings.Count(faults.Error(), "\n"); len(faults) < 19999 || lines != 100 {
		t.Errorf("%d faults on %d lines", len(faults), lines)
	}
}

// Settings are checked once for all targets that have the same.
func TestSettingsAreCheckedOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	text := "defaults: {settings: {SCAN_SOURCE: none}}\ntargets: [{account: '222233334444'}, {account: '333344445555'}, {account: '444455556666', settings: {SCAN_SOURCE: auto}}]"
	if _, err := targets.ParseDocument([]byte(text), defaults, func(map[string]string) map[string]string { calls++; return nil }); err != nil || calls != 2 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestRoleARN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ role, partition, want string }{
		{"reader", "aws", "arn:aws:iam::222233334444:role/reader"},
		{"teams/a/reader", "aws-cn", "arn:aws-cn:iam::222233334444:role/teams/a/reader"},
		{"arn:aws:iam::ACCOUNT:role/of-ACCOUNT", "aws", "arn:aws:iam::222233334444:role/of-ACCOUNT"},
		{"arn:aws-us-gov:iam::222233334444:role/x/y", "aws-us-gov", "arn:aws-us-gov:iam::222233334444:role/x/y"},
		{"arn:aws:iam::ACCOUNT:role/x", "aws-cn", ""},
		{"arn:aws:iam::999999999999:role/x", "aws", ""},
		{"arn:aws:iam::ACCOUNT:user/x", "aws", ""},
		{"arn:aws:iam::ACCOUNT:role/", "aws", ""},
		{"", "aws", ""},
		{"a b", "aws", ""},
		{"x/" + strings.Repeat("n", 65), "aws", ""},
		{strings.Repeat("p", 511) + "/x", "aws", ""},
	} {
		if got, err := targets.RoleARN(c.role, "222233334444", c.partition); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("RoleARN(%q, %s) = %q, %v", c.role, c.partition, got, err)
		}
	}
}
