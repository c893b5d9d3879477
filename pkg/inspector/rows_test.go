package inspector_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const repositoryARN = "arn:aws:ecr:" + region + ":" + account + ":repository/"

// rows reads one page of a list with these rows.
func rows(t *testing.T, server *ecrtest.Server, list string, rows ...string) []inventory.ScanAnswer {
	t.Helper()
	operation, member, token := "ListCoverage", "coveredResources", ""
	if list == "aggregations" {
		operation, member, token = "ListFindingAggregations", "responses", "aggregations:"
	}
	server.Fail(ecrtest.Match{Operation: operation}, 1, ecrtest.Fault{Body: `{"` + member + `":[` + strings.Join(rows, ",") + `]}`})
	scans, _, err := newClient(server).Scans(t.Context(), "", token)
	check(t, err)
	return scans
}

// Inspector's codes and reasons become ECR's statuses. A reason that ECR does not have
// is used as it is.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t)
		// With other reasons the status is ACTIVE.
		active := map[types.ScanStatusReason]string{
			"PENDING_INITIAL_SCAN": "PENDING, unfinished",
			"PENDING_REVIVAL_SCAN": "PENDING, unfinished",
			"SCAN_IN_PROGRESS":     "IN_PROGRESS, unfinished",
		}
		inactive := map[types.ScanStatusReason]string{
			"PENDING_INITIAL_SCAN":        "PENDING, unfinished",
			"PENDING_REVIVAL_SCAN":        "PENDING, unfinished",
			"SCAN_IN_PROGRESS":            "IN_PROGRESS, unfinished",
			"INTERNAL_ERROR":              "FAILED",
			"IMAGE_SIZE_EXCEEDED":         "LIMIT_EXCEEDED",
			"SUCCESSFUL":                  "COMPLETE",
			"SCAN_FREQUENCY_SCAN_ON_PUSH": "COMPLETE",
			"UNSUPPORTED_OS":              "UNSUPPORTED_IMAGE",
			"UNSUPPORTED_MEDIA_TYPE":      "UNSUPPORTED_IMAGE",
			"UNSUPPORTED_LANGUAGE":        "UNSUPPORTED_IMAGE",
			"UNSUPPORTED_CONFIG_FILE":     "UNSUPPORTED_IMAGE",
			"UNSUPPORTED_RUNTIME":         "UNSUPPORTED_IMAGE",
			"SCAN_ELIGIBILITY_EXPIRED":    "SCAN_ELIGIBILITY_EXPIRED", // as in ECR
			"IMAGE_ARCHIVED":              "IMAGE_ARCHIVED",           // as in ECR
			"SCAN_FREQUENCY_MANUAL":       "SCAN_FREQUENCY_MANUAL",
			"":                            "",
			"OF_A_LATER_YEAR":             "OF_A_LATER_YEAR",
		}
		reasons := append(types.ScanStatusReason("").Values(), "", "OF_A_LATER_YEAR")
		for _, code := range []types.ScanStatusCode{types.ScanStatusCodeActive, types.ScanStatusCodeInactive} {
			for _, reason := range reasons {
				want, known := active[reason]
				switch {
				case code == types.ScanStatusCodeInactive:
					if want, known = inactive[reason]; !known {
						want = string(reason)
					}
				case !known:
					want = "ACTIVE"
				}
				scans := rows(t, server, "coverage", fmt.Sprintf(`{"resourceId":%q,"scanStatus":{"statusCode":%q,"reason":%q}}`, repositoryARN+"app/"+ecrtest.Digest("1"), code, reason))
				if len(scans) != 1 {
					t.Fatalf("%s, %s: scans %v", code, reason, scans)
				}
				got := scans[0].Scan.Status.String()
				if scans[0].Scan.Unfinished > 0 {
					got += ", unfinished"
				}
				if got != want {
					t.Errorf("%s, %s: %q, want %q", code, reason, got, want)
				}
			}
		}
	})
}

func TestCounts(t *testing.T) {
	t.Parallel()
	critical := func(n int32) inventory.SeverityCount {
		return inventory.SeverityCount{Severity: inventory.WordOf("CRITICAL"), Count: n}
	}
	medium := inventory.SeverityCount{Severity: inventory.WordOf("MEDIUM"), Count: 3}
	low := inventory.SeverityCount{Severity: inventory.WordOf("LOW"), Count: 2}
	untriaged := inventory.SeverityCount{Severity: inventory.WordOf("UNTRIAGED"), Count: 5}
	const most = 1<<31 - 1
	for _, c := range []struct {
		name, counts string
		want         inventory.Scan
	}{
		{"some below MEDIUM", `"all":9,"critical":1,"high":0,"medium":3`, inventory.Scan{Total: 9, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"none below MEDIUM", `"all":4,"critical":1,"high":0,"medium":3`, inventory.Scan{Total: 4, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"only below MEDIUM", `"all":5,"critical":0,"high":0,"medium":0`, inventory.Scan{Total: 5, Partial: true}},
		{"zeros", `"all":0,"critical":0,"high":0,"medium":0`, inventory.Scan{}},
		{"nothing", ``, inventory.Scan{Unfinished: 1}},
		{"without the sum", `"critical":1,"medium":3`, inventory.Scan{Total: 4, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"a sum too small", `"all":1,"critical":1,"medium":3`, inventory.Scan{Total: 4, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"negative", `"all":4,"critical":-1,"medium":3`, inventory.Scan{Unfinished: 1}},
		{"a negative sum", `"all":-4,"critical":1,"medium":3`, inventory.Scan{Unfinished: 1}},
		{"low counts", `"all":11,"critical":1,"high":0,"medium":3,"low":2,"informational":0,"untriaged":5`, inventory.Scan{Total: 11, Severities: inventory.CountsOf(inventory.Severities{critical(1), low, medium, untriaged})}},
		{"low counts without the sum", `"critical":1,"high":0,"medium":3,"low":2,"informational":0,"untriaged":5`, inventory.Scan{Total: 11, Severities: inventory.CountsOf(inventory.Severities{critical(1), low, medium, untriaged})}},
		{"low counts of zero without the sum", `"critical":0,"high":0,"medium":0,"low":0,"informational":0,"untriaged":0`, inventory.Scan{}},
		{"some low counts", `"all":11,"critical":1,"medium":3,"low":2`, inventory.Scan{Total: 11, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), low, medium})}},
		{"some low counts, which are all", `"all":6,"critical":1,"medium":3,"low":2`, inventory.Scan{Total: 6, Severities: inventory.CountsOf(inventory.Severities{critical(1), low, medium})}},
		{"low counts below the sum", `"all":99,"critical":1,"high":0,"medium":3,"low":2,"informational":0,"untriaged":5`, inventory.Scan{Total: 99, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), low, medium, untriaged})}},
		{"null low counts", `"all":9,"critical":1,"medium":3,"low":null,"informational":null,"untriaged":null`, inventory.Scan{Total: 9, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"a negative low count", `"all":9,"critical":1,"medium":3,"low":-1`, inventory.Scan{Unfinished: 1}},
		{"a low count of another type", `"all":9,"critical":1,"medium":3,"low":"2","informational":0,"untriaged":5`, inventory.Scan{Total: 9, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(1), medium})}},
		{"huge", `"all":9000000000,"critical":8000000000,"medium":3`, inventory.Scan{Total: most, Partial: true, Severities: inventory.CountsOf(inventory.Severities{critical(most), medium})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t)
				got := rows(t, server, "aggregations",
					`{"awsEcrContainerAggregation":{"repository":"app","imageSha":"`+ecrtest.Digest("1")+`","severityCounts":{`+c.counts+`}}}`)
				want := []inventory.ScanAnswer{{Repository: "app", Digest: digest(t, "1"), Scan: c.want}}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// Names are read from ARNs of every partition. Rows that are not about an image, or
// incomplete, are skipped.
func TestRows(t *testing.T) {
	t.Parallel()
	sha := ecrtest.Digest("1")
	const active = `"scanStatus":{"statusCode":"ACTIVE","reason":"SUCCESSFUL"}`
	covered := func(id string) string { return `{"resourceId":"` + id + `",` + active + `}` }
	counted := func(members string) string { return `{"awsEcrContainerAggregation":{` + members + `}}` }
	for _, c := range []struct {
		name, list, row string
		repository      string // empty if the row is skipped
	}{
		{"an image", "coverage", covered(repositoryARN + "app/" + sha), "app"},
		{"a name with slashes", "coverage", covered(repositoryARN + "team/a/app/" + sha), "team/a/app"},
		{"a name like a type", "coverage", covered(repositoryARN + "repository/app/" + sha), "repository/app"},
		{"another partition", "coverage", covered("arn:aws-cn:ecr:cn-north-1:" + account + ":repository/app/" + sha), "app"},
		{"a repository", "coverage", covered(repositoryARN + "team/app"), ""},
		{"an image without a repository", "coverage", covered(repositoryARN + "/" + sha), ""},
		{"a digest only", "coverage", covered(sha), ""},
		{"another algorithm", "coverage", covered(repositoryARN + "app/sha512:00"), ""},
		{"an instance", "coverage", covered("i-0123456789abcdef0"), ""},
		{"a function", "coverage", covered("arn:aws:lambda:eu-west-1:" + account + ":function:app:$LATEST"), ""},
		{"no id", "coverage", `{` + active + `}`, ""},
		{"no status", "coverage", `{"resourceId":"` + repositoryARN + "app/" + sha + `"}`, ""},
		{"empty", "coverage", `{}`, ""},
		{"null", "coverage", `null`, ""},
		{"without an image's metadata", "coverage", `{"resourceId":"` + repositoryARN + "app/" + sha + `","resourceMetadata":{},` + active + `}`, "app"},

		{"counts", "aggregations", counted(`"repository":"team/app","imageSha":"` + sha + `","severityCounts":{"all":1}`), "team/app"},
		{"a repository's ARN", "aggregations", counted(`"repository":"` + repositoryARN + `team/app","imageSha":"` + sha + `","severityCounts":{"all":1}`), "team/app"},
		{"no repository", "aggregations", counted(`"imageSha":"` + sha + `","severityCounts":{"all":1}`), ""},
		{"no digest", "aggregations", counted(`"repository":"app","severityCounts":{"all":1}`), ""},
		{"a tag for a digest", "aggregations", counted(`"repository":"app","imageSha":"latest","severityCounts":{"all":1}`), ""},
		{"no counts", "aggregations", counted(`"repository":"app","imageSha":"` + sha + `"`), ""},
		{"of instances", "aggregations", `{"ec2InstanceAggregation":{"instanceId":"i-0123456789abcdef0","severityCounts":{"all":1}}}`, ""},
		{"of an unknown type", "aggregations", `{"moonAggregation":{}}`, ""},
		{"an empty union", "aggregations", `{}`, ""},
		{"a null row", "aggregations", `null`, ""},
	} {
		t.Run(c.list+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, server := start(t)
				good := covered(repositoryARN + "good/" + sha)
				if c.list == "aggregations" {
					good = counted(`"repository":"good","imageSha":"` + sha + `","severityCounts":{"all":1}`)
				}
				var got []string
				for _, scan := range rows(t, server, c.list, c.row, good) {
					if scan.Digest != digest(t, "1") {
						t.Errorf("digest %s", scan.Digest)
					}
					got = append(got, scan.Repository)
				}
				want := []string{"good"}
				if c.repository != "" {
					want = []string{c.repository, "good"}
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("repositories (-want +got):\n%s", diff)
				}
			})
		})
	}
}
