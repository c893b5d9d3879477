package targets_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

var midnight = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func TestMessage(t *testing.T) {
	t.Parallel()
	w := targets.Work{Slot: midnight.Add(3 * time.Minute), Rate: 1.5, Target: targets.Target{Account: "222233334444", Region: "eu-west-1", Role: roleOf2, Interval: 2 * time.Minute, RegionLabel: true}}
	body, group, id := w.Message()
	want := `{"source":"ecr-remote-write","detail-type":"Registry Due","account":"222233334444","region":"eu-west-1","time":"2026-12-01T00:03:00Z","detail":` +
		`{"target":{"account":"222233334444","region":"eu-west-1","role":"arn:aws:iam::222233334444:role/ecr-remote-write","interval":120000000000,"region_label":true},"slot":"2026-12-01T00:03:00Z","rate":1.5}}`
	if diff := cmp.Diff(want, body); diff != "" || group != "222233334444/eu-west-1" || id != "222233334444/eu-west-1/2026-12-01T00:03:00Z" {
		t.Errorf("group %s, id %s, -want +got:\n%s", group, id, diff)
	}
	var event struct{ Detail json.RawMessage }
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		t.Fatal(err)
	}
	if got, err := targets.ReadWork(event.Detail); err != nil || cmp.Diff(w, got) != "" {
		t.Errorf("read %+v, error %v", got, err)
	}
}

// The largest target that is accepted fits a message, whatever its texts are in JSON.
func TestMessageFitsTheQueue(t *testing.T) {
	t.Parallel()
	target := targets.Target{
		Account: "222233334444", Region: "eu-west-1", Name: strings.Repeat("\x01", 256), Role: "arn:aws:iam::222233334444:role/" + strings.Repeat("<", 510) + "/" + strings.Repeat("n", 64),
		ExternalID: strings.Repeat("i", 1224), Interval: time.Minute, Settings: map[string]string{}, RegionLabel: true,
	}
	for _, name := range []string{"A", "B", "C"} {
		target.Settings[name] = strings.Repeat("\x01", 4096)
	}
	target.Settings["D"] = strings.Repeat("\x01", 4092)
	w := targets.Work{Target: target, Slot: midnight}
	body, _, _ := w.Message()
	var event struct{ Detail json.RawMessage }
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		t.Fatal(err)
	}
	if _, err := targets.ReadWork(event.Detail); err != nil || len(body) > 256<<10 || len(body) < 90_000 {
		t.Errorf("%d bytes, error %v", len(body), err)
	}
}

func TestReadWorkFaults(t *testing.T) {
	t.Parallel()
	good := `{"target":{"account":"222233334444","region":"eu-west-1","interval":120000000000},"slot":"2026-12-01T00:03:00Z"}`
	if _, err := targets.ReadWork(json.RawMessage(good)); err != nil {
		t.Fatal(err)
	}
	eusc := strings.NewReplacer("eu-west-1", "eusc-de-east-1", `"interval"`, `"role":"arn:aws-eusc:iam::222233334444:role/x","interval"`).Replace(good)
	if _, err := targets.ReadWork(json.RawMessage(eusc)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"eu-west-1", strings.Repeat("a", 64) + "-b-1", "region: want the name of an AWS Region"},
		{`"interval"`, `"labels":{"registry_id":"x"},"interval"`, "labels.registry_id: want a name that matches [a-zA-Z_][a-zA-Z0-9_]*, does not begin with __ and is neither region nor registry_id, and a text of 1 to 2048 bytes"},
		{"222233334444", "../222233334", "account: want an AWS account, twelve digits"},
		{"eu-west-1", "*", "region: want the name of an AWS Region"},
		{"eu-west-1", "eu-west-1/../x", "region: want the name of an AWS Region"},
		{"120000000000", "90000000000", "interval: want whole minutes from 1m to 24h, as 2m, 1h30m or 1d"},
		{"120000000000", "0", "interval: want whole minutes from 1m to 24h, as 2m, 1h30m or 1d"},
		{`"interval"`, `"role":"ecr-remote-write","interval"`, "role: want the ARN of a role of the account"},
		{`"interval"`, `"role":"arn:aws:iam::999999999999:role/x","interval"`, "role: want the ARN of a role of the account"},
		{`"interval"`, `"role":"arn:evil:iam::222233334444:role/x","interval"`, "role: want the ARN of a role of the account"},
		{`"interval"`, `"external_id":" ","interval"`, "external_id: want 2 to 1224 of the characters A-Z a-z 0-9 _ + = , . @ : / -"},
		{`"interval"`, `"labels":{"__name__":"x"},"interval"`, "labels.__name__: want a name that matches [a-zA-Z_][a-zA-Z0-9_]*, does not begin with __ and is neither region nor registry_id, and a text of 1 to 2048 bytes"},
		{`"interval"`, `"settings":{"a\nb":"` + strings.Repeat("x", 4097) + `"},"interval"`, `settings.a\nb: want a text of at most 4096 bytes`},
		{"00:03:00", "00:03:01", "slot: want a whole minute after 1970"},
		{"2026", "1926", "slot: want a whole minute after 1970"},
		{`"slot"`, `"rate":-1,"slot"`, "rate: want 0 or more samples per second"},
		{`"slot"`, `"rate":1e999,"slot"`, "json: cannot unmarshal number 1e999 into Go struct field Work.rate of type float64"},
		{good, `null`, "account: want an AWS account, twelve digits\ninterval: want whole minutes from 1m to 24h, as 2m, 1h30m or 1d\nregion: want the name of an AWS Region\nslot: want a whole minute after 1970"},
		{good, ``, "unexpected end of JSON input"},
	} {
		_, err := targets.ReadWork(json.RawMessage(strings.Replace(good, c.old, c.new, 1)))
		if got := fmt.Sprint(err); got != "reading the work of a message: "+c.want {
			t.Errorf("%s: got %s\nwant %s", c.new, got, c.want)
		}
	}
}

// many returns targets of 500 accounts with consecutive numbers in four Regions.
func many() (all []targets.Target) {
	for account := range 500 {
		for _, region := range []string{"eu-central-1", "eu-west-1", "us-east-1", "us-east-2"} {
			all = append(all, targets.Target{Account: fmt.Sprintf("%012d", 111122223000+account), Region: region, Interval: 2 * time.Minute})
		}
	}
	return all
}

// Each interval's minutes have equal shares of the targets, within five standard deviations.
func TestSlotsAreSpread(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{2, 3, 5, 10} {
		due := make([]int, minutes)
		for _, target := range many() {
			target.Interval = time.Duration(minutes) * time.Minute
			for i := range due {
				if target.Due(midnight.Add(time.Duration(i) * time.Minute)) {
					due[i]++
				}
			}
		}
		share, total := 1/float64(minutes), 0
		for _, n := range due {
			total += n
			if math.Abs(float64(n)-2000*share) > 5*math.Sqrt(2000*share*(1-share)) {
				t.Errorf("every %d minutes: %v of 2,000", minutes, due)
			}
		}
		if total != 2000 {
			t.Errorf("every %d minutes: %d runs, want each target once", minutes, total)
		}
		t.Logf("every %d minutes: %v", minutes, due)
	}
}

// The slots of a target are the same in every version: these were computed in another
// language (see docs/targets.md).
func TestSlotIsStable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		account string
		minutes int
		want    string
	}{
		{"111122223333", 1, "2026-12-02T01:00:00Z"},
		{"111122223333", 2, "2026-12-02T01:00:00Z"},
		{"111122223333", 15, "2026-12-02T00:48:00Z"},
		{"111122223333", 1440, "2026-12-01T13:18:00Z"},
		{"222233334444", 1, "2026-12-02T01:00:00Z"},
		{"222233334444", 2, "2026-12-02T01:00:00Z"},
		{"222233334444", 15, "2026-12-02T00:52:00Z"},
		{"222233334444", 1440, "2026-12-01T02:52:00Z"},
	} {
		target := targets.Target{Account: c.account, Region: "eu-west-1", Interval: time.Duration(c.minutes) * time.Minute}
		if got := target.Slot(midnight.Add(30*time.Second + 25*time.Hour)).Format(time.RFC3339); got != c.want {
			t.Errorf("%s every %d minutes: %s, want %s", c.account, c.minutes, got, c.want)
		}
	}
}

func TestStarting(t *testing.T) {
	t.Parallel()
	all := many()[:1000]
	begun := map[string]time.Time{"999999999999/eu-west-1": midnight.Add(-time.Hour)} // no longer listed
	type step struct{ Minute, Active int }
	var steps []step
	for minute := range 200 {
		now := midnight.Add(time.Duration(minute) * time.Minute)
		active, starting := targets.Starting(begun, all, now)
		if len(active)+starting != len(all) {
			t.Fatalf("%d active, %d starting", len(active), starting)
		}
		if len(steps) == 0 || steps[len(steps)-1].Active != len(active) {
			steps = append(steps, step{minute, len(active)})
		}
		for _, target := range active {
			if _, ok := begun[target.String()]; !ok {
				begun[target.String()] = now
			}
		}
	}
	want := []step{{0, 100}, {31, 200}, {62, 400}, {93, 800}, {124, 1000}}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

var allowed = regexp.MustCompile(`^[[:graph:]]{1,128}$`)

// Whatever is accepted can be sent again, and a message of it is read as the same work.
func FuzzReadWork(f *testing.F) {
	f.Add([]byte(`{"target":{"account":"222233334444","region":"eu-west-1","interval":120000000000},"slot":"2026-12-01T00:03:00Z"}`))
	f.Add([]byte(`{"target":{"account":"222233334444","region":"eu-west-1","role":"arn:aws:iam::222233334444:role/a/b","external_id":"ab","interval":60000000000,"labels":{"a":"b"},"settings":{"A":""},"region_label":true},"slot":"2026-12-01T01:03:00+01:00","rate":1e9}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, err := targets.ReadWork(text)
		if err != nil {
			return
		}
		body, group, id := w.Message()
		var event struct{ Detail json.RawMessage }
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			t.Fatal(err)
		}
		again, err := targets.ReadWork(event.Detail)
		if second, _, _ := again.Message(); err != nil || second != body || !allowed.MatchString(group) || !allowed.MatchString(id) {
			t.Errorf("group %q, id %q, error %v\n%s\n%s", group, id, err, body, second)
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add("111122223333:eu-west-1,222233334444:*")
	f.Fuzz(func(t *testing.T, text string) { fuzzed(t)(targets.ParseList(text, defaults)) })
}

func FuzzParseDocument(f *testing.F) {
	f.Add(readExample(f))
	f.Add([]byte(faulty))
	f.Add([]byte("targets: &t [*t]"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzed(t)(targets.ParseDocument(text, defaults, check)) })
}

// fuzzed checks that there is a document or a fault, and that its targets can be sent.
func fuzzed(t *testing.T) func(d *targets.Document, err error) {
	return func(d *targets.Document, err error) {
		if (d == nil) == (err == nil) {
			t.Fatalf("document %v, error %v", d, err)
		}
		if err != nil {
			if err.Error() == "" || strings.Count(err.Error(), "\n") > 100 {
				t.Errorf("error %q", err)
			}
			return
		}
		regions := map[string][]string{}
		for _, target := range d.Unexpanded() {
			regions[target.Account] = []string{"eu-west-1"}
		}
		all, unknown, err := d.Expand(regions)
		if len(all) == 0 || len(unknown) > 0 || err != nil {
			t.Errorf("%d targets, unknown %v, error %v", len(all), unknown, err)
		}
		for _, target := range all {
			w := targets.Work{Target: target, Slot: target.Slot(midnight)}
			text, _ := json.Marshal(w)
			if _, err := targets.ReadWork(text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}
