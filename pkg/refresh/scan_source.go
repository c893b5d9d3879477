package refresh

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// ScanSource is the setting of where scan results come from.
type ScanSource string

// The settings of ScanSource.
const (
	// ScanAuto is ScanInspector for a registry with enhanced scanning, and ScanFindings
	// for others.
	ScanAuto ScanSource = "auto"
	// ScanFindings calls DescribeImageScanFindings for each image.
	ScanFindings ScanSource = "findings"
	// ScanInspector reads Inspector's lists, and calls DescribeImageScanFindings for
	// images whose counts are incomplete there.
	ScanInspector ScanSource = "inspector"
	// ScanSummary uses the summary in DescribeImages.
	ScanSummary ScanSource = "summary"
	// ScanNone reads no scans; those in the inventory stay.
	ScanNone ScanSource = "none"
)

// requests reports whether the setting needs calls beyond DescribeImages.
func (s ScanSource) requests() bool {
	return s == ScanAuto || s == ScanFindings || s == ScanInspector
}

// allows reports whether the setting can result in the given source, including as a
// fallback for a missing permission.
func (s ScanSource) allows(from string) bool {
	switch from {
	case inventory.ScansFromFindings, inventory.ScansFromSummary:
		return s.requests() || string(s) == from
	case inventory.ScansFromInspector:
		return s == ScanAuto || s == ScanInspector
	case inventory.ScansFromNowhere:
		return !s.requests() && s != ScanSummary
	default:
		return false
	}
}

// setScanSource decides where scan results come from until the repositories are listed
// again.
func (r *Refresher) setScanSource(ctx context.Context, registry *inventory.Registry) error {
	switch r.options.Scans.Source {
	case ScanFindings, ScanInspector, ScanSummary:
		registry.ScanSource = string(r.options.Scans.Source)
	case ScanAuto:
		scanType, err := r.readScanType(ctx, registry)
		switch {
		case errors.Is(err, awsapi.ErrDenied):
			r.fallBack(ctx, registry, string(ScanAuto), inventory.ScansFromFindings, err)
		case err != nil:
			registry.ScanSource = cmp.Or(registry.ScanSource, inventory.ScansFromFindings)
			return err
		case scanType == inventory.ScanTypeEnhanced:
			registry.ScanSource = inventory.ScansFromInspector
		default:
			registry.ScanSource = inventory.ScansFromFindings
		}
	default:
		registry.ScanSource = inventory.ScansFromNowhere
	}
	if registry.ScanSource == inventory.ScansFromInspector && r.options.Scans.Inspector == nil {
		registry.ScanSource = inventory.ScansFromFindings
	}
	return nil
}

// readScanType reads the registry's type of scanning.
func (r *Refresher) readScanType(ctx context.Context, registry *inventory.Registry) (string, error) {
	scanType, account, err := r.source.ScanType(ctx)
	if err == nil && !differ(account, registry.ID) {
		registry.SetScanType(scanType)
	}
	return scanType, err
}

// fallBack uses a source that needs fewer permissions, or one service less, until
// setScanSource is called again.
func (r *Refresher) fallBack(ctx context.Context, registry *inventory.Registry, from, to string, cause error) {
	registry.ScanSource = to
	instead := to + " instead of " + from
	if errors.Is(cause, awsapi.ErrNoEndpoint) {
		r.options.Logger.WarnContext(ctx, "no endpoint in this Region: using scan source "+instead, slog.Any("error", cause))
		return
	}
	r.options.Logger.WarnContext(ctx, "missing permission: using scan source "+instead, slog.Any("error", cause))
}
