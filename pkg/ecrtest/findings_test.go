package ecrtest_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// Whatever the page size, the findings are as many as the counts, which are on every
// page, the worst first; in the shape of the registry's scanning.
func TestFindingsPages(t *testing.T) {
	t.Parallel()
	counts := map[string]int32{"CRITICAL": 3, "HIGH": 1, "LOW": 7, "UNTRIAGED": 2, "ZEAL": 1}
	const worstFirst = "CRITICAL CRITICAL CRITICAL HIGH LOW LOW LOW LOW LOW LOW LOW UNTRIAGED UNTRIAGED ZEAL"
	reg, srv, client := start(t, "app")
	digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x"), Tags: []string{"v1"}})
	setScan(t, reg, "app", digest, ecrtest.ScanState{CompletedAt: now, Counts: counts})
	for _, scanType := range []string{"BASIC", "ENHANCED"} {
		setScanning(t, reg, ecrtest.Scanning{Type: scanType})
		for _, tc := range []struct {
			size  *int32
			limit int // the server's
			pages int
		}{{aws.Int32(1), 0, 14}, {aws.Int32(4), 0, 4}, {aws.Int32(14), 0, 1}, {aws.Int32(1000), 0, 1}, {nil, 0, 1}, {nil, 5, 3}} {
			srv.SetPageLimit("DescribeImageScanFindings", tc.limit)
			var got []string
			pages, names := 0, map[string]bool{}
			p := ecr.NewDescribeImageScanFindingsPaginator(client, &ecr.DescribeImageScanFindingsInput{
				RepositoryName: aws.String("app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, MaxResults: tc.size,
			})
			for ; p.HasMorePages(); pages++ {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if *out.ImageId.ImageDigest != digest || *out.ImageId.ImageTag != "v1" || *out.RegistryId != account || *out.RepositoryName != "app" {
					t.Errorf("%s: about %+v", scanType, out)
				}
				if !maps.Equal(counts, out.ImageScanFindings.FindingSeverityCounts) || !now.Equal(*out.ImageScanFindings.ImageScanCompletedAt) {
					t.Errorf("%s, page %d: %+v", scanType, pages, out.ImageScanFindings)
				}
				for _, f := range out.ImageScanFindings.Findings {
					got, names["BASIC"+*f.Name] = append(got, string(f.Severity)), true
				}
				for _, f := range out.ImageScanFindings.EnhancedFindings {
					got, names["ENHANCED"+*f.PackageVulnerabilityDetails.VulnerabilityId] = append(got, *f.Severity), true
					if *f.Resources[0].Id != imageARN("app", digest) {
						t.Errorf("finding of %s", *f.Resources[0].Id)
					}
				}
			}
			if diff := cmp.Diff(worstFirst, strings.Join(got, " ")); diff != "" || pages != tc.pages || len(names) != len(got) {
				t.Errorf("%s, size %v: %d names on %d pages, want %d:\n%s", scanType, tc.size, len(names), pages, tc.pages, diff)
			}
			for name := range names {
				if !strings.HasPrefix(name, scanType) {
					t.Errorf("%s: a finding of the other shape: %s", scanType, name)
				}
			}
		}
	}
}

// A scan that is done and not counted yet has an empty list of findings and no counts.
func TestFindingsBeforeCounts(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x")})
	setScan(t, reg, "app", digest, ecrtest.ScanState{})
	for _, scanType := range []string{"BASIC", "ENHANCED"} {
		setScanning(t, reg, ecrtest.Scanning{Type: scanType})
		out, err := describeFindings(t, client, "app", digest)
		if err != nil {
			t.Fatal(err)
		}
		f := out.ImageScanFindings
		if f == nil || f.Findings == nil || len(f.Findings) > 0 || f.EnhancedFindings != nil || f.FindingSeverityCounts != nil || f.ImageScanCompletedAt != nil {
			t.Errorf("%s: %+v", scanType, f)
		}
	}
}

func TestFindingsRefuses(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t, "app", "other")
	other := ecrtest.NewRegistry("210987654321", region)
	putRepository(t, other, ecrtest.Repository{Name: "app"})
	srv.AddRegistry(other)
	scanned := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x"), Tags: []string{"v1"}})
	setScan(t, reg, "app", scanned, ecrtest.ScanState{Counts: map[string]int32{"LOW": 2}})
	never := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("never"), Tags: []string{"v2"}})
	putImage(t, reg, "other", ecrtest.Image{Digest: scanned})
	ask := func(change func(*ecr.DescribeImageScanFindingsInput)) (*ecr.DescribeImageScanFindingsOutput, error) {
		in := &ecr.DescribeImageScanFindingsInput{
			RepositoryName: aws.String("app"), ImageId: &types.ImageIdentifier{ImageDigest: &scanned}, MaxResults: aws.Int32(1),
		}
		change(in)
		return client.DescribeImageScanFindings(t.Context(), in)
	}
	first, err := ask(func(*ecr.DescribeImageScanFindingsInput) {})
	if err != nil || first.NextToken == nil {
		t.Fatal(first, err)
	}
	for _, tc := range []struct {
		name, code, says string
		change           func(*ecr.DescribeImageScanFindingsInput)
	}{
		{"repository", "RepositoryNotFoundException", "'nothing'", func(in *ecr.DescribeImageScanFindingsInput) { in.RepositoryName = aws.String("nothing") }},
		{"repository name", "InvalidParameterException", "repositoryName", func(in *ecr.DescribeImageScanFindingsInput) { in.RepositoryName = aws.String("A") }},
		{"image", "ImageNotFoundException", "imageTag:'v9'", func(in *ecr.DescribeImageScanFindingsInput) {
			in.ImageId = &types.ImageIdentifier{ImageTag: aws.String("v9")}
		}},
		{"digest", "ImageNotFoundException", "", func(in *ecr.DescribeImageScanFindingsInput) { in.ImageId.ImageDigest = aws.String("sha256:0") }},
		{"tag of another image", "ImageNotFoundException", "", func(in *ecr.DescribeImageScanFindingsInput) {
			in.ImageId = &types.ImageIdentifier{ImageDigest: &scanned, ImageTag: aws.String("v2")}
		}},
		{"never scanned", "ScanNotFoundException", "'{imageDigest:'" + never + "', imageTag:'null'}'", func(in *ecr.DescribeImageScanFindingsInput) {
			in.ImageId = &types.ImageIdentifier{ImageDigest: &never}
		}},
		{"scanned elsewhere only", "ScanNotFoundException", "'other'", func(in *ecr.DescribeImageScanFindingsInput) { in.RepositoryName = aws.String("other") }},
		{"no image id", "InvalidParameterException", "imageId", func(in *ecr.DescribeImageScanFindingsInput) { in.ImageId = &types.ImageIdentifier{} }},
		{"page size", "InvalidParameterException", "maxResults", func(in *ecr.DescribeImageScanFindingsInput) { in.MaxResults = aws.Int32(1001) }},
		{"token of another image", "InvalidParameterException", "nextToken", func(in *ecr.DescribeImageScanFindingsInput) {
			in.ImageId, in.NextToken = &types.ImageIdentifier{ImageDigest: &never}, first.NextToken
		}},
		{"another account", "ImageNotFoundException", "210987654321", func(in *ecr.DescribeImageScanFindingsInput) { in.RegistryId = aws.String("210987654321") }},
		{"a third account", "AccessDeniedException", "999999999999", func(in *ecr.DescribeImageScanFindingsInput) { in.RegistryId = aws.String("999999999999") }},
	} {
		_, err := ask(tc.change)
		checkCode(t, tc.name, err, tc.code, tc.says)
	}
	_, err = ask(func(in *ecr.DescribeImageScanFindingsInput) { in.RepositoryName = aws.String("nothing") })
	if _, ok := errors.AsType[*types.RepositoryNotFoundException](err); !ok {
		t.Errorf("%v", err)
	}
}

// With enhanced scanning ECR needs permissions of Inspector, and the error names them.
func TestFindingsPermissions(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t, "app", "secret")
	for _, name := range []string{"app", "secret"} {
		setScan(t, reg, name, putImage(t, reg, name, ecrtest.Image{Digest: ecrtest.Digest("x")}), ecrtest.ScanState{At: time.Unix(1, 0)})
	}
	const scanFindings = `{"Effect": "Allow", "Action": "ecr:DescribeImageScanFindings", "Resource": "arn:aws:ecr:*:*:repository/app"}`
	allow := func(statements ...string) {
		srv.SetPolicy(parsePolicy(t, `{"Statement": [`+strings.Join(statements, ",")+`]}`))
	}
	findings := func(name string) error {
		_, err := describeFindings(t, client, name, ecrtest.Digest("x"))
		return err
	}
	configuration := func() error {
		_, err := client.GetRegistryScanningConfiguration(t.Context(), &ecr.GetRegistryScanningConfigurationInput{})
		return err
	}
	const denied = "AccessDeniedException"
	allow(scanFindings)
	if err := findings("app"); err != nil {
		t.Errorf("basic: %v", err)
	}
	checkCode(t, "another repository", findings("secret"), denied, "ecr:DescribeImageScanFindings on resource: arn:aws:ecr:eu-west-1:123456789012:repository/secret because")
	checkCode(t, "configuration", configuration(), denied, "ecr:GetRegistryScanningConfiguration on resource: * because")
	setScanning(t, reg, ecrtest.Scanning{Type: "ENHANCED"})
	checkCode(t, "enhanced", findings("app"), denied,
		"inspector2:ListFindings on resource: arn:aws:inspector2:eu-west-1:123456789012:/findings/list because no identity-based policy allows the inspector2:ListFindings action")
	allow(scanFindings, `{"Effect": "Allow", "Action": ["inspector2:ListFindings", "ecr:GetRegistryScanningConfiguration"], "Resource": "*"}`)
	if err := errors.Join(findings("app"), configuration()); err != nil {
		t.Errorf("allowed: %v", err)
	}
}
