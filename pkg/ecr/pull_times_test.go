package ecr_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Indexes may be read by a caller whose own role or user is excluded, in its own account.
func TestCheckPullTimes(t *testing.T) {
	const (
		session = "arn:aws:sts::123456789012:assumed-role/reader/ecr-remote-write"
		role    = "arn:aws:iam::123456789012:role/reader"
		user    = "arn:aws:iam::123456789012:user/ops/reader"
	)
	for _, tc := range []struct {
		name, caller, registry string
		exclusions             []string
		want                   string
		lists                  int // calls
	}{
		{"the role", session, "", []string{role}, "", 1},
		{"the role with a path", session, "", []string{"arn:aws:iam::123456789012:role/a/b/reader"}, "", 1},
		{"the role of the own account, named", session, account, []string{role}, "", 1},
		{"no exclusions", session, "", nil, inventory.IndexesNotExcluded, 1},
		{"other roles", session, "", []string{role + "2", "arn:aws:iam::123456789012:role/reader/other", "arn:aws:iam::123456789012:role/ecr-remote-write"}, inventory.IndexesNotExcluded, 1},
		{"a user named like the role", session, "", []string{user}, inventory.IndexesNotExcluded, 1},
		{"a role of another account", session, "", []string{"arn:aws:iam::210987654321:role/reader"}, inventory.IndexesNotExcluded, 1},
		{"a role of another partition", session, "", []string{"arn:aws-us-gov:iam::123456789012:role/reader"}, inventory.IndexesNotExcluded, 1},
		{"a session of another partition", "arn:aws-cn:sts::123456789012:assumed-role/reader/x", "", []string{"arn:aws-cn:iam::123456789012:role/reader"}, "", 1},
		{"a user", user, "", []string{"arn:aws:iam::123456789012:user/reader"}, "", 1},
		{"the root user", "arn:aws:iam::123456789012:root", "", []string{"arn:aws:iam::123456789012:role/root"}, inventory.IndexesNotExcluded, 0},
		{"a federated user", "arn:aws:sts::123456789012:federated-user/reader", "", []string{role}, inventory.IndexesNotExcluded, 0},
		{"the registry of another account", session, "210987654321", []string{role}, inventory.IndexesOfOtherAccount, 0},
		{"a caller of another account", "arn:aws:sts::210987654321:assumed-role/reader/x", account, []string{role}, inventory.IndexesOfOtherAccount, 0},
		{"no ARN", "reader", "", []string{role}, inventory.IndexesUnknown, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry, server := start(t, 1)
				server.SetCaller(tc.caller)
				check(t, registry.SetPullTimeExclusions(tc.exclusions...))
				client := newClient(server, ecr.Options{RegistryID: tc.registry})
				reason, err := client.CheckPullTimes(t.Context())
				if reason != tc.want || (err != nil) != (tc.want == inventory.IndexesUnknown) {
					t.Errorf("reason %q, want %q; error %v", reason, tc.want, err)
				}
				if n := server.Calls()["ListPullTimeUpdateExclusions"]; n != tc.lists {
					t.Errorf("%d lists, want %d", n, tc.lists)
				}
				if _, err := client.Children(t.Context(), "app", digests(t, "0")); (err == nil) != (tc.want == "") {
					t.Errorf("reading an index: %v", err)
				}
				if n := server.Calls()[ecr.IndexOperation]; tc.want != "" && n > 0 {
					t.Errorf("%d calls that move pull times", n)
				}
			})
		})
	}
}

// The exclusion is found on any page, and a list that cannot be read allows nothing, also
// after one that did.
func TestCheckPullTimesFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 1)
		server.SetPageLimit("ListPullTimeUpdateExclusions", 2)
		exclusions := []string{"arn:aws:iam::123456789012:role/ecr-remote-write"}
		for i := range 9 {
			exclusions = append(exclusions, fmt.Sprintf("arn:aws:iam::123456789012:role/a%d", i))
		}
		check(t, registry.SetPullTimeExclusions(exclusions...))
		client := newClient(server, ecr.Options{})
		allow := func() {
			t.Helper()
			if reason, err := client.CheckPullTimes(t.Context()); reason != "" || err != nil {
				t.Fatal(reason, err)
			}
		}
		allow()
		if n := server.Calls()["ListPullTimeUpdateExclusions"]; n != 5 {
			t.Errorf("%d lists, want 5", n)
		}
		const list, identity = "ListPullTimeUpdateExclusions", "GetCallerIdentity"
		denied := ecrtest.Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: "no"}
		for _, tc := range []struct {
			name, operation string
			fault           ecrtest.Fault
			want            string
			kind            error
		}{
			{"denied", list, denied, inventory.IndexesDenied, awsapi.ErrDenied},
			{"no list", list, ecrtest.Fault{Body: `{}`}, inventory.IndexesNotExcluded, nil},
			{"the same page again", list, ecrtest.Fault{Body: `{"pullTimeUpdateExclusions":[],"nextToken":"a"}`}, inventory.IndexesUnknown, awsapi.ErrIncomplete},
			{"down", list, ecrtest.FaultServer, inventory.IndexesUnknown, nil},
			{"no identity", identity, ecrtest.Fault{Body: `<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>`}, inventory.IndexesUnknown, awsapi.ErrIncomplete},
			{"STS is down", identity, ecrtest.FaultServer, inventory.IndexesUnknown, nil},
		} {
			server.Fail(ecrtest.Match{Operation: tc.operation}, ecrtest.Always, tc.fault)
			reason, err := client.CheckPullTimes(t.Context())
			if reason != tc.want || (err == nil) != (tc.want == inventory.IndexesNotExcluded) || tc.kind != nil && !errors.Is(err, tc.kind) {
				t.Errorf("%s: %q, %v", tc.name, reason, err)
			}
			server.ClearFaults()
			if _, err := client.Children(t.Context(), "app", digests(t, "0")); err == nil || !strings.Contains(err.Error(), "pull times") {
				t.Errorf("%s: reading an index: %v", tc.name, err)
			}
			allow()
		}
	})
}

// STS that does not respond uses up little of the run's time.
func TestNoRouteToSTS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 1)
		server.SetLatency("GetCallerIdentity", time.Hour, 0)
		began := time.Now()
		reason, err := newClient(server, ecr.Options{}).CheckPullTimes(t.Context())
		if reason != inventory.IndexesUnknown || err == nil || time.Since(began) > 6*time.Second {
			t.Errorf("%q, %v after %v", reason, err, time.Since(began))
		}
	})
}
