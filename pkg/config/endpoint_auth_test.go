package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// The hosts are those of https://docs.aws.amazon.com/general/latest/gr/prometheus-service.html,
// VPC endpoints' own names, and what only looks like one.
func TestAMPHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host, auth, region string
		wantAuth           auth.Method
		wantRegion         config.Region
	}{
		{host: "aps-workspaces.eu-west-1.amazonaws.com", wantAuth: auth.SigV4, wantRegion: "eu-west-1"},
		{host: "APS-Workspaces.us-gov-west-1.amazonaws.com:443", wantAuth: auth.SigV4, wantRegion: "us-gov-west-1"},
		{host: "aps-workspaces.eu-west-1.amazonaws.com.", wantAuth: auth.SigV4, wantRegion: "eu-west-1"},
		{host: "aps-workspaces-fips.us-east-1.amazonaws.com", wantAuth: auth.SigV4, wantRegion: "us-east-1"},
		{host: "aps-workspaces-fips.us-east-2.api.aws", wantAuth: auth.SigV4, wantRegion: "us-east-2"},
		{host: "aps-workspaces.ap-southeast-2.api.aws", wantAuth: auth.SigV4, wantRegion: "ap-southeast-2"},
		{host: "vpce-0a1-b2.aps-workspaces.eu-central-1.vpce.amazonaws.com", wantAuth: auth.SigV4, wantRegion: "eu-central-1"},
		{host: "vpce-0a1-b2-us-east-1a.aps-workspaces-fips.us-east-1.vpce.amazonaws.com", wantAuth: auth.SigV4, wantRegion: "us-east-1"},
		{host: "vpce-0a1-b2.aps-workspaces.cn-north-1.vpce.amazonaws.com.cn", wantAuth: auth.SigV4, wantRegion: "cn-north-1"},
		{host: "aps-workspaces.cn-north-1.amazonaws.com.cn", wantAuth: auth.SigV4, wantRegion: "cn-north-1"},
		{host: "aps-workspaces.cn-northwest-1.api.amazonwebservices.com.cn", wantAuth: auth.SigV4, wantRegion: "cn-northwest-1"},
		{host: "aps-workspaces.eu-west-1.amazonaws.com", region: "us-east-1", wantAuth: auth.SigV4, wantRegion: "us-east-1"},
		{host: "aps-workspaces.eu-west-1.amazonaws.com", auth: "none", wantAuth: auth.None, wantRegion: "eu-west-1"},
		{host: "aps-workspaces.us-iso-east-1.c2s.ic.gov", wantAuth: auth.SigV4, wantRegion: "us-iso-east-1"},
		{host: "aps-workspaces.eusc-de-east-1.amazonaws.eu", wantAuth: auth.SigV4, wantRegion: "eusc-de-east-1"},
		{host: "aps-workspaces.eusc-de-east-1.amazonaws.com", wantAuth: auth.None},
		{host: "aps-workspaces.eu-west-1.amazonaws.com.cn", wantAuth: auth.None},
		{host: "aps-workspaces.cn-north-1.api.aws", wantAuth: auth.None},
		{host: "vpce-0a1-b2.aps-workspaces.eu-west-1.amazonaws.com", wantAuth: auth.None},
		{host: "proxy.example", auth: "sigv4", wantAuth: auth.SigV4},
		{host: "aps-workspaces.eu-west-1.amazonaws.com.example", wantAuth: auth.None},
		{host: "notaps-workspaces.eu-west-1.amazonaws.com", wantAuth: auth.None},
		{host: "x.aps-workspaces.eu-west-1.amazonaws.com", wantAuth: auth.None},
		{host: "aps-workspaces.eu-west-1.vpce.amazonaws.com", wantAuth: auth.None},
		{host: "aps.eu-west-1.amazonaws.com", wantAuth: auth.None}, // the control plane
	} {
		got := load(t, "REMOTE_WRITE_URL=https://"+c.host+"/api", "REMOTE_WRITE_AUTH="+c.auth, "REMOTE_WRITE_REGION="+c.region)
		if got.RemoteWriteAuth != c.wantAuth || got.RemoteWriteRegion != c.wantRegion {
			t.Errorf("%+v: %q in %q", c, got.RemoteWriteAuth, got.RemoteWriteRegion)
		}
		want := remotewrite.Auto
		if c.wantRegion != "" {
			want = remotewrite.V1
		}
		if got.RemoteWriteProtocol != want {
			t.Errorf("%+v: protocol %q, want %q", c, got.RemoteWriteProtocol, want)
		}
	}
	if got := load(t, ampURL, "REMOTE_WRITE_PROTOCOL=2.0").RemoteWriteProtocol; got != remotewrite.V2 {
		t.Errorf("2.0 asked for, got %q", got)
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	type picked struct {
		Auth                     auth.Method
		Username, Password, Role string
		Token                    string
	}
	const https = "REMOTE_WRITE_URL=https://h.example/w"
	for _, c := range []struct {
		environ []string
		want    picked
	}{
		{[]string{https}, picked{Auth: auth.None}},
		{[]string{https, "REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=pw"}, picked{Auth: auth.Basic, Username: "me", Password: "pw"}},
		{[]string{"REMOTE_WRITE_URL=https://me:p%40w@h.example/w"}, picked{Auth: auth.Basic, Username: "me", Password: "p@w"}},
		{[]string{"REMOTE_WRITE_URL=https://me:@h.example/w"}, picked{Auth: auth.Basic, Username: "me"}},
		{[]string{"REMOTE_WRITE_URL=https://me@h.example/w", "REMOTE_WRITE_PASSWORD=ssm:/pw"}, picked{Auth: auth.Basic, Username: "me", Password: reference}},
		{[]string{https, "REMOTE_WRITE_AUTH=basic", "REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=file:/pw"}, picked{Auth: auth.Basic, Username: "me", Password: reference}},
		{[]string{https, "REMOTE_WRITE_BEARER_TOKEN=abc.d-e=="}, picked{Auth: auth.Bearer, Token: "abc.d-e=="}},
		{[]string{ampURL, "REMOTE_WRITE_ROLE_ARN=arn:aws-us-gov:iam::111122223333:role/a/b/writer", "REMOTE_WRITE_ROLE_EXTERNAL_ID=x:1"}, picked{Auth: auth.SigV4, Role: "arn:aws-us-gov:iam::111122223333:role/a/b/writer"}},
		{[]string{ampURL, "REMOTE_WRITE_AUTH=bearer", "REMOTE_WRITE_BEARER_TOKEN=t"}, picked{Auth: auth.Bearer, Token: "t"}},
	} {
		got := load(t, c.environ...)
		if diff := cmp.Diff(c.want, picked{got.RemoteWriteAuth, got.RemoteWriteUsername, text(got.RemoteWritePassword), string(got.RemoteWriteRoleARN), text(got.RemoteWriteBearerToken)}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.environ, diff)
		}
		if got.RemoteWriteURL.User != nil {
			t.Errorf("%q: the URL has user info still", c.environ)
		}
	}
}

const reference = "(a reference)"

// text is that of a setting that is no reference.
func text(setting secret.Text) string {
	if literal, ok := setting.Literal(); ok || !setting.IsSet() {
		return literal
	}
	return reference
}

// What contradicts itself is one fault for each variable concerned.
func TestContradictions(t *testing.T) {
	t.Parallel()
	const https, role = "REMOTE_WRITE_URL=https://h.example/w", "REMOTE_WRITE_ROLE_ARN=arn:aws:iam::111122223333:role/writer"
	certificate, key := selfSigned(t)
	_, otherKey := selfSigned(t)
	for _, c := range []struct {
		environ string // separated by spaces
		want    string // variables, likewise
	}{
		{https + " REMOTE_WRITE_AUTH=basic", "REMOTE_WRITE_PASSWORD REMOTE_WRITE_USERNAME"},
		{https + " REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD"},
		{https + " REMOTE_WRITE_PASSWORD=pw", "REMOTE_WRITE_PASSWORD"},
		{https + " REMOTE_WRITE_AUTH=bearer", "REMOTE_WRITE_BEARER_TOKEN"},
		{https + " REMOTE_WRITE_AUTH=bearer REMOTE_WRITE_BEARER_TOKEN=t REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_USERNAME"},
		{https + " REMOTE_WRITE_USERNAME=me REMOTE_WRITE_PASSWORD=pw REMOTE_WRITE_BEARER_TOKEN=t", "REMOTE_WRITE_BEARER_TOKEN"},
		{https + " REMOTE_WRITE_USERNAME=a:b REMOTE_WRITE_PASSWORD=pw", "REMOTE_WRITE_USERNAME"},
		{https + " REMOTE_WRITE_AUTH=none REMOTE_WRITE_BEARER_TOKEN=t", "REMOTE_WRITE_BEARER_TOKEN"},
		{https + " REMOTE_WRITE_BEARER_TOKEN=\u00e9", "REMOTE_WRITE_BEARER_TOKEN"},
		{https + " REMOTE_WRITE_PASSWORD=\x01 REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD"},
		{ampURL + " REMOTE_WRITE_BEARER_TOKEN=t", "REMOTE_WRITE_BEARER_TOKEN"},
		{ampURL + " REMOTE_WRITE_USERNAME=me REMOTE_WRITE_PASSWORD=pw", "REMOTE_WRITE_PASSWORD REMOTE_WRITE_USERNAME"},
		{https + " " + role, "REMOTE_WRITE_ROLE_ARN"},
		{https + " " + role + " REMOTE_WRITE_ROLE_EXTERNAL_ID=x1", "REMOTE_WRITE_ROLE_ARN REMOTE_WRITE_ROLE_EXTERNAL_ID"},
		{ampURL + " REMOTE_WRITE_ROLE_EXTERNAL_ID=x1", "REMOTE_WRITE_ROLE_EXTERNAL_ID"},
		{ampURL + " " + role + " REMOTE_WRITE_ROLE_EXTERNAL_ID=x", "REMOTE_WRITE_ROLE_EXTERNAL_ID"},
		{ampURL + " REMOTE_WRITE_ROLE_ARN=arn:aws:iam::111122223333:user/writer", "REMOTE_WRITE_ROLE_ARN"},
		{ampURL + " REMOTE_WRITE_ROLE_ARN=arn:aws:iam::1111:role/writer", "REMOTE_WRITE_ROLE_ARN"},
		{"REMOTE_WRITE_URL=https://me:pw@h.example/ REMOTE_WRITE_AUTH=sigv4", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:pw@h.example/ REMOTE_WRITE_AUTH=none", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:pw@h.example/ REMOTE_WRITE_AUTH=bearer REMOTE_WRITE_BEARER_TOKEN=t", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:pw@h.example/ REMOTE_WRITE_USERNAME=you", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:pw@h.example/ REMOTE_WRITE_PASSWORD=other", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:ssm%3A@h.example/", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://m%3Ae:pw@h.example/", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me:p%01w@h.example/", "REMOTE_WRITE_URL"},
		{"REMOTE_WRITE_URL=https://me@h.example/", "REMOTE_WRITE_PASSWORD"},
		{https + " REMOTE_WRITE_CLIENT_KEY=file:/k", "REMOTE_WRITE_CLIENT_KEY"},
		{https + " REMOTE_WRITE_CLIENT_CERTIFICATE=file:/c", "REMOTE_WRITE_CLIENT_CERTIFICATE"},
		{https + " REMOTE_WRITE_CLIENT_CERTIFICATE=ssm: REMOTE_WRITE_CLIENT_KEY=file:/k", "REMOTE_WRITE_CLIENT_CERTIFICATE"},
		{plainURL + " REMOTE_WRITE_CA=file:/ca REMOTE_WRITE_CLIENT_CERTIFICATE=file:/c REMOTE_WRITE_CLIENT_KEY=file:/k", "REMOTE_WRITE_CA REMOTE_WRITE_CLIENT_CERTIFICATE REMOTE_WRITE_CLIENT_KEY"},
		{https + " REMOTE_WRITE_CA=nonsense", "REMOTE_WRITE_CA"},
		{https + " REMOTE_WRITE_CLIENT_CERTIFICATE=" + nbsp(certificate) + " REMOTE_WRITE_CLIENT_KEY=" + nbsp(otherKey), "REMOTE_WRITE_CLIENT_CERTIFICATE"},
		{https + " REMOTE_WRITE_CA=" + nbsp(certificate) + " REMOTE_WRITE_CLIENT_CERTIFICATE=" + nbsp(certificate) + " REMOTE_WRITE_CLIENT_KEY=" + nbsp(key), ""},
		{https + " REMOTE_WRITE_CA=file:/ca REMOTE_WRITE_CLIENT_CERTIFICATE=ssm:c REMOTE_WRITE_CLIENT_KEY=ssm:k", ""},
	} {
		environ := strings.Split(c.environ, " ")
		for i := range environ {
			environ[i] = strings.ReplaceAll(environ[i], "\u00a0", " ")
		}
		_, err := config.Load(environ, config.ToSend)
		faults, _ := err.(config.Faults) //nolint:errorlint // the documented type
		var got []string
		for _, f := range faults {
			got = append(got, f.Variable)
			if f.Rule == "" || strings.Contains(f.String(), "PRIVATE KEY") {
				t.Errorf("%s: fault %+v", c.environ, f)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: error %v, want faults of %q", c.environ, err, c.want)
		}
	}
}

// nbsp keeps a text in one piece.
func nbsp(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// A dry run has no endpoint, so its settings contradict nothing.
func TestAuthWithoutEndpoint(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{
		{"REMOTE_WRITE_ROLE_ARN=arn:aws:iam::111122223333:role/writer"},
		{"REMOTE_WRITE_PASSWORD=pw"},
		{"REMOTE_WRITE_AUTH=basic"},
		{"REMOTE_WRITE_CA=file:/ca"},
	} {
		if _, err := config.Load(environ, config.ToPrint); err != nil {
			t.Errorf("%q: %v", environ, err)
		}
	}
	if _, err := config.Load([]string{"REMOTE_WRITE_AUTH=none", "REMOTE_WRITE_PASSWORD=pw"}, config.ToPrint); err == nil {
		t.Error("a password with none is no fault")
	}
}

// With FIPS asked for, an AMP host that is none of FIPS is no fault, since most Regions have no
// other.
func TestWarnsOfHostWithoutFIPS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host, fips string
		want       bool
	}{
		{"aps-workspaces.us-east-1.amazonaws.com", "true", true},
		{"aps-workspaces.us-east-1.amazonaws.com", "false", false},
		{"aps-workspaces-fips.us-east-1.amazonaws.com", "true", false},
		{"vpce-0a1-b2.aps-workspaces-fips.us-east-1.vpce.amazonaws.com", "true", false},
		{"proxy.example", "true", false},
	} {
		loaded := load(t, "REMOTE_WRITE_URL=https://"+c.host+"/api", "SETTINGS=AWS_USE_FIPS_ENDPOINT="+c.fips)
		if got := slices.ContainsFunc(loaded.Warnings, func(w string) bool { return strings.HasPrefix(w, "AWS_USE_FIPS_ENDPOINT is set") }); got != c.want {
			t.Errorf("%+v: warnings %q", c, loaded.Warnings)
		}
	}
}

func TestWarnsOfPlainHTTP(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]bool{
		"http://me:pw@h.example/": true, "http://me:pw@127.0.0.1:1/": false, "https://me:pw@h.example/": false, "http://h.example/": false,
	} {
		c := load(t, "REMOTE_WRITE_URL="+u)
		if got := slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.HasPrefix(w, "REMOTE_WRITE_URL is not https") }); got != want {
			t.Errorf("%s: warnings %q", u, c.Warnings)
		}
	}
}
