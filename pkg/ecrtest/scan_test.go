package ecrtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func setScan(t *testing.T, reg *ecrtest.Registry, repository, digest string, states ...ecrtest.ScanState) {
	t.Helper()
	if err := reg.SetScan(repository, digest, ecrtest.Scan{States: states}); err != nil {
		t.Fatal(err)
	}
}

func setScanning(t *testing.T, reg *ecrtest.Registry, scanning ecrtest.Scanning) {
	t.Helper()
	if err := reg.SetScanning(scanning); err != nil {
		t.Fatal(err)
	}
}

func describeFindings(t *testing.T, client *ecr.Client, repository, digest string) (*ecr.DescribeImageScanFindingsOutput, error) {
	t.Helper()
	return client.DescribeImageScanFindings(t.Context(), &ecr.DescribeImageScanFindingsInput{
		RepositoryName: &repository, ImageId: &types.ImageIdentifier{ImageDigest: &digest}, MaxResults: aws.Int32(1),
	})
}

func TestGetRegistryScanningConfiguration(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t)
	filters := func(patterns ...string) (all []types.ScanningRepositoryFilter) {
		for _, p := range patterns {
			all = append(all, types.ScanningRepositoryFilter{Filter: &p, FilterType: types.ScanningRepositoryFilterTypeWildcard})
		}
		return all
	}
	for _, tc := range []struct {
		name string
		set  *ecrtest.Scanning
		want types.RegistryScanningConfiguration
	}{
		{"new registry", nil, types.RegistryScanningConfiguration{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{}}},
		{"enhanced", &ecrtest.Scanning{Type: "ENHANCED"}, types.RegistryScanningConfiguration{
			ScanType: types.ScanTypeEnhanced,
			Rules:    []types.RegistryScanningRule{{ScanFrequency: types.ScanFrequencyContinuousScan, RepositoryFilters: filters("*")}},
		}},
		{"rules", &ecrtest.Scanning{Type: "BASIC", Rules: []ecrtest.ScanningRule{
			{Frequency: "SCAN_ON_PUSH", Filters: []string{"team/*", "app"}}, {Frequency: "MANUAL", Filters: []string{"*"}},
		}}, types.RegistryScanningConfiguration{
			ScanType: types.ScanTypeBasic,
			Rules: []types.RegistryScanningRule{
				{ScanFrequency: types.ScanFrequencyScanOnPush, RepositoryFilters: filters("team/*", "app")},
				{ScanFrequency: types.ScanFrequencyManual, RepositoryFilters: filters("*")},
			},
		}},
	} {
		if tc.set != nil {
			setScanning(t, reg, *tc.set)
		}
		got, err := client.GetRegistryScanningConfiguration(t.Context(), &ecr.GetRegistryScanningConfigurationInput{})
		if err != nil {
			t.Fatal(err)
		}
		if *got.RegistryId != account {
			t.Errorf("%s: registry %s", tc.name, *got.RegistryId)
		}
		if diff := cmp.Diff(tc.want, *got.ScanningConfiguration, cmpopts.IgnoreUnexported(
			types.RegistryScanningConfiguration{}, types.RegistryScanningRule{}, types.ScanningRepositoryFilter{})); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
	before := reg.Scanning()
	for _, bad := range []ecrtest.Scanning{
		{}, {Type: "CLAIR"}, {Type: "BASIC", Rules: []ecrtest.ScanningRule{{Frequency: "DAILY", Filters: []string{"*"}}}},
	} {
		if err := reg.SetScanning(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if diff := cmp.Diff(before, reg.Scanning()); diff != "" {
		t.Errorf("what was refused changed the registry:\n%s", diff)
	}
}

// The states of a scan follow one another as time passes, also the seconds in which it
// is complete without counts.
func TestScanStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := ecrtest.NewRegistry(account, region)
		putRepository(t, reg, ecrtest.Repository{Name: "app"})
		digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x"), Tags: []string{"v1"}})
		client := newClient(ecrtest.StartPipe(t, reg))
		began := time.Now()
		at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
		setScan(t, reg, "app", digest,
			ecrtest.ScanState{At: at(1), Status: "PENDING"},
			ecrtest.ScanState{At: at(2), Status: "IN_PROGRESS", Description: "busy"},
			ecrtest.ScanState{At: at(3), CompletedAt: at(3)},
			ecrtest.ScanState{At: at(5), CompletedAt: at(3), SourceUpdatedAt: at(-3600), Counts: map[string]int32{"HIGH": 2}},
		)
		if err := reg.Rescan("app", digest,
			ecrtest.ScanState{At: at(86400), Status: "IN_PROGRESS"},
			ecrtest.ScanState{At: at(86410), CompletedAt: at(86410), Counts: map[string]int32{}}); err != nil {
			t.Fatal(err)
		}
		const done = "The scan was completed successfully."
		for _, tc := range []struct {
			second int
			status types.ImageScanStatus
			want   *types.ImageScanFindings
		}{
			{0, types.ImageScanStatus{}, nil},
			{1, types.ImageScanStatus{Status: types.ScanStatusPending}, nil},
			{2, types.ImageScanStatus{Status: types.ScanStatusInProgress, Description: aws.String("busy")}, nil},
			{3, types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String(done)}, &types.ImageScanFindings{
				ImageScanCompletedAt: aws.Time(at(3)),
			}},
			{5, types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String(done)}, &types.ImageScanFindings{
				ImageScanCompletedAt: aws.Time(at(3)), VulnerabilitySourceUpdatedAt: aws.Time(at(-3600)), FindingSeverityCounts: map[string]int32{"HIGH": 2},
			}},
			{86400, types.ImageScanStatus{Status: types.ScanStatusInProgress}, nil},
			{86410, types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String(done)}, &types.ImageScanFindings{
				ImageScanCompletedAt: aws.Time(at(86410)), FindingSeverityCounts: map[string]int32{},
			}},
		} {
			time.Sleep(time.Until(at(tc.second)))
			got, err := describeFindings(t, client, "app", digest)
			state, ok := reg.Scan("app", "v1", time.Now())
			if tc.second == 0 {
				if _, missing := errors.AsType[*types.ScanNotFoundException](err); !missing || ok {
					t.Errorf("before the first state: %v, %v", err, ok)
				}
				continue
			}
			if err != nil {
				t.Fatalf("second %d: %v", tc.second, err)
			}
			if diff := cmp.Diff(&tc.status, got.ImageScanStatus, ignoreMetadata); diff != "" {
				t.Errorf("second %d: status:\n%s", tc.second, diff)
			}
			if diff := cmp.Diff(tc.want, got.ImageScanFindings, cmpopts.IgnoreUnexported(types.ImageScanFindings{}),
				cmpopts.IgnoreFields(types.ImageScanFindings{}, "Findings"), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("second %d: findings:\n%s", tc.second, diff)
			}
			if !ok || state.Status != string(tc.status.Status) || state.Description != aws.ToString(tc.status.Description) {
				t.Errorf("second %d: Scan says %+v", tc.second, state)
			}
			if tc.want != nil {
				if diff := cmp.Diff(tc.want.FindingSeverityCounts, state.Counts); diff != "" {
					t.Errorf("second %d: Scan counts:\n%s", tc.second, diff)
				}
			}
		}
	})
}
