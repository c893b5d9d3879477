package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// place is a Region, with what CloudFormation says of its partition. Hosts are named as in the
// Region that it is like, if any.
type place struct{ region, partition, suffix, like string }

// places are a Region of each partition that is open to customers, and opt-in Regions.
var places = []place{
	{"us-east-1", "aws", "amazonaws.com", ""},
	{"eu-west-1", "aws", "amazonaws.com", "us-east-1"},
	{"ap-southeast-5", "aws", "amazonaws.com", "us-east-1"},
	{"mx-central-1", "aws", "amazonaws.com", "us-east-1"},
	{"us-gov-west-1", "aws-us-gov", "amazonaws.com", ""},
	{"cn-north-1", "aws-cn", "amazonaws.com.cn", ""},
	{"cn-northwest-1", "aws-cn", "amazonaws.com.cn", "cn-north-1"},
	{"eusc-de-east-1", "aws-eusc", "amazonaws.eu", ""},
}

// pseudo are the values of CloudFormation's own parameters there.
func (p place) pseudo() map[string]string {
	return with(pseudo, map[string]string{"AWS::Region": p.region, "AWS::Partition": p.partition, "AWS::URLSuffix": p.suffix})
}

// called are the hosts that are called, by the service that their requests are signed for.
type called struct {
	t     *testing.T
	hosts map[string]string
}

var scope = regexp.MustCompile(`Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request`)

func (c called) RoundTrip(r *http.Request) (*http.Response, error) {
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil {
		c.t.Errorf("a request to %s is not signed", r.URL.Host)
		return nil, errKilled{}
	}
	c.hosts[signed[2]] = r.URL.Host + " for " + signed[1]
	return nil, errKilled{}
}

// hostsOf calls each service once as the function does with these settings, and returns the
// host of each service, and the Region of the signature.
func hostsOf(t *testing.T, region string, settings ...string) map[string]string {
	t.Helper()
	t.Setenv("AWS_REGION", region)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-key")
	t.Setenv("AWS_CONFIG_FILE", "none")
	c, err := config.Load(append(settings, "STATE_URL=s3://mine/inventory"), config.ToPrint)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cfg, err := awsConfig(t.Context(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	to := called{t, map[string]string{}}
	cfg.HTTPClient = &http.Client{Transport: to}
	source, resolver := ecr.New(cfg, ecr.Options{}), secret.NewResolver(cfg, log)
	secretOf := func(reference string) error {
		text, err := secret.Parse(reference)
		if err != nil {
			t.Fatal(err)
		}
		_, err = resolver.Secret(text).Value(t.Context())
		return err
	}
	for what, call := range map[string]func() error{
		"registry": func() error { _, err := source.RegistryID(t.Context()); return err },
		"identity": func() error { _, err := source.CheckPullTimes(t.Context()); return err },
		"Inspector": func() error {
			_, _, err := inspector.New(cfg, awsapi.NewLimiter(1)).Scans(t.Context(), "", "")
			return err
		},
		"state":       func() error { _, err := newStore(c, cfg, log).Load(t.Context()); return err },
		"a secret":    func() error { return secretOf("secretsmanager:name") },
		"a parameter": func() error { return secretOf("ssm:name") },
		"AMP": func() error {
			if !c.AMP() {
				return errKilled{}
			}
			transport, err := newTransport(c, cfg, secrets{resolver}, to)
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.RemoteWriteURL.String(), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			_, err = transport.RoundTrip(request)
			return err
		},
	} {
		err := call()
		if err == nil {
			t.Errorf("%s: no error of a transport without a network", what)
		} else if what == "state" && strings.Contains(err.Error(), "Partition does not support FIPS") {
			to.hosts["s3"] = "refused by the SDK for " + region
		}
	}
	return to.hosts
}

// endpointKinds are the kinds of endpoints, and the settings that ask for them.
var endpointKinds = []struct {
	name     string
	settings []string
}{
	{"plain", nil},
	{"FIPS", []string{"SETTINGS=AWS_USE_FIPS_ENDPOINT=true"}},
	{"dual-stack", []string{"SETTINGS=AWS_USE_DUALSTACK_ENDPOINT=true"}},
	{"both", []string{"AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_DUALSTACK_ENDPOINT=true"}},
}

// endpointsTable has the hosts that the function calls: what the SDK makes of the Region and
// the settings, and the template of the workspace. Regions that are like another one are
// checked, and have no row.
func endpointsTable(t *testing.T) string {
	t.Helper()
	services := []string{"ecr", "inspector2", "sts", "s3", "ssm", "secretsmanager", "aps"}
	var b strings.Builder
	fmt.Fprintf(&b, "| Region | endpoints | %s |\n|---|---|%s\n", strings.Join(services, " | "), strings.Repeat("---|", len(services)))
	rows := map[string]string{}
	for _, place := range places {
		s := newStack(t, template(t), toWorkspace)
		s.pseudo = place.pseudo()
		var url []string
		if len(s.refused()) == 0 {
			url = []string{"REMOTE_WRITE_URL=" + fmt.Sprint(dig(t, properties(s.present("Resources"), "ExporterFunction"), "Environment", "Variables", "REMOTE_WRITE_URL"))}
		}
		for _, kind := range endpointKinds {
			hosts := hostsOf(t, place.region, append(url, kind.settings...)...)
			row := ""
			for _, service := range services {
				host, region, found := strings.Cut(hosts[service], " for ")
				switch {
				case found && region != place.region:
					t.Errorf("%s, %s: requests to %s are signed for %s", place.region, kind.name, host, region)
				case !found && (service != "aps" || url != nil):
					t.Errorf("%s, %s: no request to %s", place.region, kind.name, service)
				case !found:
					row += " none |"
				case strings.Contains(host, " "):
					row += " " + host + " |"
				default:
					row += " `" + host + "` |"
				}
			}
			if rows[place.region+kind.name] = row; place.like == "" {
				fmt.Fprintf(&b, "| %s | %s |%s\n", place.region, kind.name, row)
			} else if want := strings.ReplaceAll(rows[place.like+kind.name], place.like, place.region); row != want {
				t.Errorf("%s, %s: hosts are\n%s, want\n%s", place.region, kind.name, row, want)
			}
		}
	}
	return b.String()
}
