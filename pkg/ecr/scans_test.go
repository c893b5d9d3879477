package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// scanOf reads the scan of image 0 of the repository app.
func scanOf(t *testing.T, client *ecr.Client) *inventory.Scan {
	t.Helper()
	scan, err := client.Scan(t.Context(), "app", digest(t, "0"))
	check(t, err)
	return scan
}

func digest(t *testing.T, name string) inventory.Digest {
	t.Helper()
	d, err := inventory.ParseDigest(ecrtest.Digest(name))
	check(t, err)
	return d
}

func setScan(t *testing.T, registry *ecrtest.Registry, states ...ecrtest.ScanState) {
	t.Helper()
	check(t, registry.SetScan("app", ecrtest.Digest("0"), ecrtest.Scan{States: states}))
}

// The result of each kind of response, and whether it is final.
func TestScan(t *testing.T) {
	t.Parallel()
	counts := map[string]int32{"UNTRIAGED": 5, "HIGH": 2, "CRITICAL": 1, "LOW": 0}
	sorted := inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW")}, {Severity: inventory.WordOf("UNTRIAGED"), Count: 5}})
	for _, c := range []struct {
		name string
		// ago is how long before now the scan was completed; 0 for never.
		ago   time.Duration
		state ecrtest.ScanState
		want  inventory.Scan
	}{
		{"done", time.Hour, ecrtest.ScanState{Status: "COMPLETE", Counts: counts}, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Severities: sorted}},
		{"done just now", time.Second, ecrtest.ScanState{Status: "COMPLETE", Counts: counts}, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Severities: sorted}},
		{"scanned continuously", time.Hour, ecrtest.ScanState{Status: "ACTIVE", Counts: counts}, inventory.Scan{Status: inventory.WordOf("ACTIVE"), Severities: sorted}},
		{"clean", time.Hour, ecrtest.ScanState{Status: "COMPLETE", Counts: map[string]int32{}}, inventory.Scan{Status: inventory.WordOf("COMPLETE")}},
		{"clean, scanned continuously", time.Hour, ecrtest.ScanState{Status: "ACTIVE", Counts: map[string]int32{}}, inventory.Scan{Status: inventory.WordOf("ACTIVE")}},
		// ECR can report COMPLETE before the counts, so a result without counts is not
		// final in the first minute.
		{"done, but without counts yet", 0, ecrtest.ScanState{Status: "COMPLETE"}, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"done just now, without counts yet", time.Second, ecrtest.ScanState{Status: "COMPLETE"}, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"clean just now", time.Second, ecrtest.ScanState{Status: "COMPLETE", Counts: map[string]int32{}}, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"active, without a result yet", 0, ecrtest.ScanState{Status: "ACTIVE"}, inventory.Scan{Status: inventory.WordOf("ACTIVE"), Unfinished: 1}},
		{"in progress", 0, ecrtest.ScanState{Status: "IN_PROGRESS"}, inventory.Scan{Status: inventory.WordOf("IN_PROGRESS"), Unfinished: 1}},
		{"queued", 0, ecrtest.ScanState{Status: "PENDING"}, inventory.Scan{Status: inventory.WordOf("PENDING"), Unfinished: 1}},
		{"failed", 0, ecrtest.ScanState{Status: "FAILED"}, inventory.Scan{Status: inventory.WordOf("FAILED")}},
		{"unsupported", 0, ecrtest.ScanState{Status: "UNSUPPORTED_IMAGE"}, inventory.Scan{Status: inventory.WordOf("UNSUPPORTED_IMAGE")}},
		{"expired", time.Hour, ecrtest.ScanState{Status: "SCAN_ELIGIBILITY_EXPIRED", Counts: counts}, inventory.Scan{Status: inventory.WordOf("SCAN_ELIGIBILITY_EXPIRED"), Severities: sorted}},
		{"unavailable", 0, ecrtest.ScanState{Status: "FINDINGS_UNAVAILABLE"}, inventory.Scan{Status: inventory.WordOf("FINDINGS_UNAVAILABLE")}},
		{"too large", 0, ecrtest.ScanState{Status: "LIMIT_EXCEEDED"}, inventory.Scan{Status: inventory.WordOf("LIMIT_EXCEEDED")}},
		{"archived", 0, ecrtest.ScanState{Status: "IMAGE_ARCHIVED"}, inventory.Scan{Status: inventory.WordOf("IMAGE_ARCHIVED")}},
	} {
		for _, scanning := range []string{"BASIC", "ENHANCED"} {
			t.Run(c.name+"/"+scanning, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					registry, server := start(t, 1)
					check(t, registry.SetScanning(ecrtest.Scanning{Type: scanning}))
					state, want := c.state, c.want
					state.At = time.Now().Add(-24 * time.Hour)
					if c.ago > 0 {
						state.CompletedAt = time.Now().Add(-c.ago)
						want.CompletedAt = inventory.TimeOf(state.CompletedAt)
					}
					setScan(t, registry, state)
					got := scanOf(t, newClient(server, ecr.Options{}))
					if diff := cmp.Diff(&want, got); diff != "" {
						t.Errorf("-want +got:\n%s", diff)
					}
				})
			})
		}
	}
}

// The scan of a new image is unfinished until the response has counts.
func TestScanUnfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		client := newClient(server, ecr.Options{})
		now := time.Now()
		done := now.Add(30 * time.Second)
		setScan(t, registry,
			ecrtest.ScanState{At: now.Add(10 * time.Second), Status: "IN_PROGRESS"},
			ecrtest.ScanState{At: done, CompletedAt: done},
			ecrtest.ScanState{At: done.Add(5 * time.Second), CompletedAt: done, Counts: map[string]int32{"HIGH": 1}})
		var got []string
		for range 5 {
			scan := scanOf(t, client)
			got = append(got, fmt.Sprint(scan.Status, " ", scan.Final(), " ", scan.Severities))
			time.Sleep(10 * time.Second)
		}
		want := []string{inventory.ScanNotFound.String() + " true []", "IN_PROGRESS false []", "IN_PROGRESS false []", "COMPLETE false []", "COMPLETE true [{HIGH 1}]"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A scan without findings is final once it is a minute old.
func TestScanClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		client := newClient(server, ecr.Options{})
		setScan(t, registry, ecrtest.ScanState{At: time.Now(), CompletedAt: time.Now(), Counts: map[string]int32{}})
		time.Sleep(time.Minute - time.Millisecond)
		if scanOf(t, client).Final() {
			t.Error("final too early")
		}
		time.Sleep(time.Millisecond)
		if !scanOf(t, client).Final() {
			t.Error("not final after a minute")
		}
	})
}

// A missing scan or image is a result, a missing repository or permission an error.
func TestScanErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		client := newClient(server, ecr.Options{})
		if got := scanOf(t, client); !cmp.Equal(got, &inventory.Scan{Status: inventory.ScanNotFound}) {
			t.Errorf("never scanned: %+v", got)
		}
		got, err := client.Scan(t.Context(), "app", digest(t, "nothing"))
		check(t, err)
		if !cmp.Equal(got, &inventory.Scan{Status: inventory.ScanImageNotFound}) {
			t.Errorf("no such image: %+v", got)
		}
		fails := func(name, repository string, want error) {
			t.Helper()
			scan, err := client.Scan(t.Context(), repository, digest(t, "0"))
			text := "reading the scan of " + repository + "@" + ecrtest.Digest("0")
			if scan != nil || !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%s: scan %v, error %v, want %v and %q", name, scan, err, want, text)
			}
		}
		fails("no such repository", "nothing", awsapi.ErrGone)
		// With enhanced scanning, ECR reads from Inspector on the caller's behalf.
		allow(t, server, `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`)
		check(t, registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}))
		fails("Inspector denied", "app", awsapi.ErrDenied)
		check(t, registry.SetScanning(ecrtest.Scanning{Type: "BASIC"}))
		scanOf(t, client)
		allow(t, server, `{"Effect":"Allow","Action":"inspector2:*","Resource":"*"}`)
		fails("denied", "app", awsapi.ErrDenied)
		if n := server.Calls()["DescribeImageScanFindings"]; n != 6 {
			t.Errorf("%d calls, want no retries", n)
		}
	})
}

// An empty or invalid response is not a scan without findings.
func TestScanBadResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 1)
		client := newClient(server, ecr.Options{})
		for _, c := range []struct {
			body string
			want inventory.Scan
		}{
			{`{"imageScanStatus":{"status":"COMPLETE"}}`, inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
			{`{"imageScanStatus":{"status":"ODD"},"imageScanFindings":{}}`, inventory.Scan{Status: inventory.WordOf("ODD")}},
			{
				`{"imageScanStatus":{"status":"COMPLETE"},"imageScanFindings":{"findingSeverityCounts":{"":7,"HIGH":-1,"LOW":2}}}`,
				inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("LOW"), Count: 2}})},
			},
		} {
			server.Fail(ecrtest.Match{}, 1, ecrtest.Fault{Body: c.body})
			got := scanOf(t, client)
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.body, diff)
			}
		}
	})
}

// One page with one finding is requested: a finding has kilobytes, and every page has the
// counts.
func TestScanRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		setScan(t, registry, ecrtest.ScanState{At: time.Now().Add(-time.Hour), CompletedAt: time.Now().Add(-time.Hour), Counts: map[string]int32{"HIGH": 1000}})
		var bodies []string
		cfg := config(server)
		cfg.HTTPClient = recorder{server.Client(), &bodies}
		if got := scanOf(t, ecr.New(cfg, ecr.Options{RegistryID: account})); len(got.Severities.List()) != 1 || got.Severities.List()[0].Count != 1000 {
			t.Errorf("scan %+v", got)
		}
		want := []string{`{"imageId":{"imageDigest":"` + ecrtest.Digest("0") + `"},"maxResults":1,"registryId":"` + account + `","repositoryName":"app"}`}
		if diff := cmp.Diff(want, bodies); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// recorder records the bodies of requests.
type recorder struct {
	aws.HTTPClient
	bodies *[]string
}

func (r recorder) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	*r.bodies = append(*r.bodies, string(body))
	request.Body = io.NopCloser(strings.NewReader(string(body)))
	return r.HTTPClient.Do(request)
}

func TestScanType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 0)
		client := newClient(server, ecr.Options{})
		for _, scanning := range []string{inventory.ScanTypeBasic, inventory.ScanTypeEnhanced} {
			check(t, registry.SetScanning(ecrtest.Scanning{Type: scanning}))
			got, of, err := client.ScanType(t.Context())
			check(t, err)
			if got != scanning || of != account {
				t.Errorf("%s: %s of account %s", scanning, got, of)
			}
		}
		allow(t, server, `{"Effect":"Allow","Action":"ecr:Describe*","Resource":"*"}`)
		if _, _, err := client.ScanType(t.Context()); !errors.Is(err, awsapi.ErrDenied) || !strings.Contains(err.Error(), "scanning configuration") {
			t.Errorf("denied: error %v", err)
		}
	})
}

func TestRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		check(t, registry.PutRepository(ecrtest.Repository{Name: "team/app", TagMutability: "IMMUTABLE", ScanOnPush: aws.Bool(true)}))
		client := newClient(server, ecr.Options{})
		got, err := client.Repository(t.Context(), "team/app")
		check(t, err)
		want := &inventory.Repository{
			Name: "team/app", URI: registry.URI("team/app"), ARN: registry.ARN("team/app"), RegistryID: account,
			TagMutability: "IMMUTABLE", ScanOnPush: aws.Bool(true),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		fails := func(name string, want error) {
			t.Helper()
			got, err := client.Repository(t.Context(), name)
			if got != nil || !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), "describing repository "+name) {
				t.Errorf("%s: %v, error %v, want %v", name, got, err, want)
			}
		}
		fails("nothing", awsapi.ErrGone)
		for _, body := range []string{`{}`, `{"repositories":[]}`, `{"repositories":[{}]}`, `{"repositories":[{"repositoryName":"another"}]}`} {
			server.Fail(ecrtest.Match{}, 1, ecrtest.Fault{Body: body})
			fails("team/app", awsapi.ErrIncomplete)
		}
		allow(t, server, `{"Effect":"Allow","Action":"ecr:*","Resource":"`+registry.ARN("app")+`"}`)
		fails("team/app", awsapi.ErrDenied)
		if _, err = client.Repository(t.Context(), "app"); err != nil {
			t.Error(err)
		}
	})
}

// The declared permissions are sufficient and necessary, Inspector's only where it scans
// the images.
func TestScanPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		setScan(t, registry, ecrtest.ScanState{At: time.Now(), CompletedAt: time.Now(), Counts: map[string]int32{"HIGH": 1}})
		every := func(ctx context.Context) error {
			client := newClient(server, ecr.Options{})
			_, _, err1 := client.ScanType(ctx)
			_, err2 := client.Scan(ctx, "app", digest(t, "0"))
			return errors.Join(err1, err2)
		}
		for scanning, needed := range map[string]int{"BASIC": len(ecr.ScanPermissions) - 1, "ENHANCED": len(ecr.ScanPermissions)} {
			check(t, registry.SetScanning(ecrtest.Scanning{Type: scanning}))
			statements := statements(ecr.ScanPermissions)
			allow(t, server, statements...)
			check(t, every(t.Context()))
			denied := 0
			for i := range statements {
				allow(t, server, without(statements, i)...)
				if err := every(t.Context()); errors.Is(err, awsapi.ErrDenied) {
					denied++
				} else if err != nil {
					t.Error(err)
				}
			}
			if denied != needed {
				t.Errorf("%s: %d of %v are needed, want %d", scanning, denied, ecr.ScanPermissions, needed)
			}
		}
	})
}
