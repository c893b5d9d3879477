package inspector_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account, region = "123456789012", "eu-west-1"

// start serves a registry that Inspector scans, with a repository of each name.
func start(t *testing.T, repositories ...string) (*ecrtest.Registry, *ecrtest.Server) {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	check(t, registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}))
	for _, name := range repositories {
		check(t, registry.PutRepository(ecrtest.Repository{Name: name}))
	}
	return registry, ecrtest.StartPipe(t, registry)
}

func newClient(server *ecrtest.Server) *inspector.Client {
	return inspector.New(aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(server.URL()),
		HTTPClient:   server.Client(),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, awsapi.NewLimiter(1000))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, name string) inventory.Digest {
	t.Helper()
	d, err := inventory.ParseDigest(ecrtest.Digest(name))
	check(t, err)
	return d
}

// put adds an image whose scan has been in a state for an hour.
func put(t *testing.T, registry *ecrtest.Registry, repository, name string, state ecrtest.ScanState) {
	t.Helper()
	check(t, registry.PutImage(repository, ecrtest.Image{Digest: ecrtest.Digest(name), Tags: []string{name}}))
	state.At = time.Now().Add(-time.Hour)
	check(t, registry.SetScan(repository, ecrtest.Digest(name), ecrtest.Scan{States: []ecrtest.ScanState{state}}))
}

// all reads both lists of an account; empty means of every account.
func all(t *testing.T, client *inspector.Client, account string) []inventory.ScanAnswer {
	t.Helper()
	var list []inventory.ScanAnswer
	for token := ""; ; {
		scans, next, err := client.Scans(t.Context(), account, token)
		check(t, err)
		list = append(list, scans...)
		if token = next; token == "" {
			return list
		}
	}
}

// Each covered image comes first, then the counts of those with findings.
func TestScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "team/app/worker"
		registry, server := start(t, "app", name)
		at := time.Now().Add(-2 * time.Hour)
		found := ecrtest.ScanState{CompletedAt: at, Counts: map[string]int32{"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "LOW": 4, "UNTRIAGED": 5}}
		put(t, registry, "app", "found", found)
		put(t, registry, name, "found", found)
		put(t, registry, name, "clean", ecrtest.ScanState{CompletedAt: at, Counts: map[string]int32{}})
		put(t, registry, name, "new", ecrtest.ScanState{Status: "PENDING"})
		put(t, registry, name, "used", ecrtest.ScanState{CompletedAt: at, Counts: map[string]int32{"MEDIUM": 1}})
		check(t, registry.SetScan(name, ecrtest.Digest("used"), ecrtest.Scan{
			States:      []ecrtest.ScanState{{At: at, CompletedAt: at, Counts: map[string]int32{"MEDIUM": 1}}},
			LastInUseAt: at.Add(time.Hour), InUseCount: 7,
		}))
		check(t, registry.PutImage(name, ecrtest.Image{Digest: ecrtest.Digest("never"), Tags: []string{"never"}}))

		done := inventory.TimeOf(at)
		counts := inventory.Scan{Total: 15, Severities: inventory.CountsOf(inventory.Severities{
			{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 4}, {Severity: inventory.WordOf("MEDIUM"), Count: 3}, {Severity: inventory.WordOf("UNTRIAGED"), Count: 5},
		})}
		covered := []inventory.ScanAnswer{
			{Repository: "app", Digest: digest(t, "found"), Scan: inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: done}},
			{Repository: name, Digest: digest(t, "found"), Scan: inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: done}},
			{Repository: name, Digest: digest(t, "clean"), Scan: inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: done}},
			{Repository: name, Digest: digest(t, "new"), Scan: inventory.Scan{Status: inventory.WordOf("PENDING"), Unfinished: 1}},
			{Repository: name, Digest: digest(t, "used"), Scan: inventory.Scan{
				Status: inventory.WordOf("ACTIVE"), CompletedAt: done, InUseCount: 7, LastInUseAt: inventory.SecondOf(inventory.TimeOf(at.Add(time.Hour))),
			}},
		}
		counted := []inventory.ScanAnswer{
			{Repository: "app", Digest: digest(t, "found"), Scan: counts},
			{Repository: name, Digest: digest(t, "found"), Scan: counts},
			{Repository: name, Digest: digest(t, "used"), Scan: inventory.Scan{Total: 1, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("MEDIUM"), Count: 1}})}},
		}
		// Each list is in the order of names and digests.
		byImage := func(a, b inventory.ScanAnswer) int {
			return cmp.Or(strings.Compare(a.Repository, b.Repository), a.Digest.Compare(b.Digest))
		}
		slices.SortFunc(covered, byImage)
		slices.SortFunc(counted, byImage)
		if diff := gocmp.Diff(slices.Concat(covered, counted), all(t, newClient(server), "")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// All pages are read, with the largest page size, and coverage before counts.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, "app", "web")
		const images = 450
		for i := range images {
			put(t, registry, []string{"app", "web"}[i%2], fmt.Sprint(i), ecrtest.ScanState{CompletedAt: time.Now(), Counts: map[string]int32{"HIGH": int32(1 + i)}})
		}
		covered, counts := map[inventory.Digest]int{}, map[inventory.Digest]int32{}
		for _, scan := range all(t, newClient(server), account) {
			if scan.Scan.Status != 0 {
				covered[scan.Digest]++
				if len(counts) > 0 {
					t.Fatal("an image's coverage comes after counts")
				}
			} else {
				counts[scan.Digest] += scan.Scan.Severities.List()[0].Count
			}
		}
		for i := range images {
			if d := digest(t, fmt.Sprint(i)); covered[d] != 1 || counts[d] != int32(1+i) {
				t.Errorf("image %d: covered %d times, %d findings", i, covered[d], counts[d])
			}
		}
		if len(covered) != images || len(counts) != images {
			t.Errorf("%d images covered, %d counted", len(covered), len(counts))
		}
		for _, request := range server.Requests() {
			if want := map[string]int32{"ListCoverage": 200, "ListFindingAggregations": 100}[request.Operation]; request.MaxResults != want {
				t.Errorf("%s: maxResults %d, want %d", request.Operation, request.MaxResults, want)
			}
		}
		if diff := gocmp.Diff(map[string]int{"ListCoverage": 3, "ListFindingAggregations": 5}, server.Calls()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

// Both lists of a registry that Inspector does not scan are empty.
func TestNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, "app")
		if list := all(t, newClient(server), ""); len(list) != 0 || server.Calls()["ListFindingAggregations"] != 1 {
			t.Errorf("scans %v, calls %v", list, server.Calls())
		}
	})
}

// A delegated administrator can see many accounts; only the images of one are requested.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, "app")
		put(t, registry, "app", "1", ecrtest.ScanState{CompletedAt: time.Now(), Counts: map[string]int32{"HIGH": 1}})
		for account, want := range map[string]int{"": 2, account: 2, "222222222222": 0} {
			if list := all(t, newClient(server), account); len(list) != want {
				t.Errorf("account %q: scans %v, want %d", account, list, want)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, "app")
		client := newClient(server)
		fails := func(token string, want error, text string) {
			t.Helper()
			scans, next, err := client.Scans(t.Context(), "", token)
			if scans != nil || next != "" || !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("token %q: scans %v, next %q, error %v, want %v and %q", token, scans, next, err, want, text)
			}
		}
		for token, text := range map[string]string{
			"coverage:of-another-day":     "listing the images that Inspector covers",
			"aggregations:of-another-day": "listing Inspector's findings by image",
			"no token of ours":            "listing the images that Inspector covers",
		} {
			fails(token, awsapi.ErrInvalidToken, text)
		}
		// Without a token, the token cannot be invalid.
		server.Fail(ecrtest.Match{}, 1, ecrtest.Fault{Status: 400, Code: "ValidationException", Message: "no"})
		if _, _, err := client.Scans(t.Context(), "", ""); err == nil || errors.Is(err, awsapi.ErrInvalidToken) {
			t.Errorf("error %v", err)
		}
		policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`))
		check(t, err)
		server.SetPolicy(policy)
		fails("", awsapi.ErrDenied, "not authorized to perform: inspector2:ListCoverage")
		fails("aggregations:", awsapi.ErrDenied, "not authorized to perform: inspector2:ListFindingAggregations")
	})
}

// The declared permissions are sufficient and necessary.
func TestPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, "app")
		allow := func(permissions []awsapi.Permission) {
			var statements []string
			for _, p := range permissions {
				statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, p.Action, p.Resource))
			}
			policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[` + strings.Join(statements, ",") + `]}`))
			check(t, err)
			server.SetPolicy(policy)
		}
		both := func() error {
			client := newClient(server)
			_, _, err1 := client.Scans(t.Context(), "", "")
			_, _, err2 := client.Scans(t.Context(), "", "aggregations:")
			return errors.Join(err1, err2)
		}
		allow(inspector.Permissions)
		check(t, both())
		for i, p := range inspector.Permissions {
			allow(slices.Delete(slices.Clone(inspector.Permissions), i, i+1))
			if err := both(); !errors.Is(err, awsapi.ErrDenied) {
				t.Errorf("without %s: error %v, want ErrDenied", p.Action, err)
			}
		}
		var operations []string
		for operation := range server.Calls() {
			operations = append(operations, operation)
		}
		slices.Sort(operations)
		if diff := gocmp.Diff(inspector.Operations, operations); diff != "" {
			t.Errorf("operations (-declared +called):\n%s", diff)
		}
	})
}
