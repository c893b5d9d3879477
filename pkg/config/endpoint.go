package config

import (
	"cmp"
	"log/slog"
	"regexp"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// ampHost matches what the hosts of Amazon Managed Service for Prometheus have in common:
// plain, FIPS, dual-stack, and VPC endpoints' own names, which may contain an Availability
// Zone. The groups are the Region, and the domain behind it.
//
// See https://docs.aws.amazon.com/general/latest/gr/prometheus-service.html and
// https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html.
var ampHost = regexp.MustCompile(`^(vpce-[a-z0-9-]+\.)?aps-workspaces(-fips)?\.(` + awsapi.RegionPattern + `)\.(.+)$`)

// ampRegion returns the Region of an AMP host; ok is false for any other host, such as one
// whose domain is not that of the Region's partition.
func ampRegion(host string) (region Region, ok bool) {
	match := ampHost.FindStringSubmatch(strings.TrimSuffix(strings.ToLower(host), "."))
	if match == nil {
		return "", false
	}
	switch region, domain := match[3], match[4]; {
	case match[1] != "":
		ok = domain == "vpce."+auth.EndpointDomain(region, false)
	default:
		ok = domain == auth.EndpointDomain(region, false) || domain == auth.EndpointDomain(region, true)
	}
	if !ok {
		return "", false
	}
	return Region(match[3]), true
}

// AMP reports whether the endpoint is a workspace of Amazon Managed Service for Prometheus.
func (c *Config) AMP() bool {
	_, amp := ampRegion(c.RemoteWriteURL.Hostname())
	return amp
}

// resolve sets and checks what depends on another setting.
func (c *Config) resolve(vars map[string]string, use Use, faults *Faults) {
	if _, set := vars["REMOTE_WRITE_URL"]; !set && use == ToSend {
		faults.note(vars, "REMOTE_WRITE_URL", "required: "+rule("RemoteWriteURL"))
	}
	region, amp := ampRegion(c.RemoteWriteURL.Hostname())
	if amp {
		c.RemoteWriteProtocol = cmp.Or(c.RemoteWriteProtocol, remotewrite.V1)
		c.RemoteWriteRegion = cmp.Or(c.RemoteWriteRegion, region)
		if c.UseFIPSEndpoint && !strings.Contains(strings.ToLower(c.RemoteWriteURL.Hostname()), "aps-workspaces-fips.") {
			c.Warnings = append(c.Warnings, "AWS_USE_FIPS_ENDPOINT is set, and the host of REMOTE_WRITE_URL is none of FIPS: docs/regions.md says where AMP has one")
		}
	}
	c.RemoteWriteProtocol = cmp.Or(c.RemoteWriteProtocol, remotewrite.Auto)
	c.resolveAuth(vars, amp, faults)
	c.checkTLS(vars, faults)
	c.resolveInUse(vars, amp, use, faults)
	c.resolveTargets(vars, faults)
	c.addRegionLabel(vars, faults)
	if c.LogLevel.level == nil {
		// Lambda sets its own variable, so an unknown value is no fault, and INFO.
		if c.LogLevel.UnmarshalText([]byte(vars["AWS_LAMBDA_LOG_LEVEL"])) != nil {
			level := slog.LevelInfo
			c.LogLevel.level = &level
		}
	}
}
