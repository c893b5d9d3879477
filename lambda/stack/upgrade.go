//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// slot is the time from one run of the schedule to the next, by default.
const slot = 2 * time.Minute

// upgradeSteps deploy the previous release, this one over it, and the previous one again. It
// returns none, and why, if the previous release is not in the history at hand.
func (s *session) upgradeSteps(ctx context.Context) (steps []step, skipped string, err error) {
	previous, err := localtest.FindPrevious(ctx, ".")
	if errors.Is(err, localtest.ErrNoPrevious) {
		return nil, fmt.Sprintf("upgrading from the previous release, and going back: %s", err), nil
	}
	if err != nil {
		return nil, "", err
	}
	u := &upgrade{session: s, previous: previous}
	return []step{
		{"make deploy, of the previous release", u.begin},
		{"make deploy, of this one over it", func(ctx context.Context) (string, error) { return u.next(ctx, u.deployThis, false) }},
		{"make deploy, of the previous one again", func(ctx context.Context) (string, error) { return u.next(ctx, u.deployPrevious, true) }},
		{"make undeploy DELETE_STATE=1", s.undeployState},
	}, "", nil
}

// upgrade is a stack that changes between two releases.
type upgrade struct {
	*session
	previous  localtest.Previous
	extracted bool
	last      snapshot
}

// snapshot is what a run pushed: series by family and all labels but that of the version.
type snapshot struct {
	at       time.Time
	version  string
	families map[string]bool
	series   map[string]float64
	ended    []string
}

// knows reports whether the run pushed the family of a series.
func (p snapshot) knows(key string) bool {
	family, _, _ := strings.Cut(key, "[")
	return p.families[family]
}

// exporterFamily is the prefix of families about the run, whose values are its own.
const exporterFamily = "aws_ecr_exporter_"

func (u *upgrade) deployThis(ctx context.Context) error {
	return u.deploy(ctx, "upgrade.log", u.parameters[0]...)
}

// deployPrevious deploys with the template, the Makefile and the program of the previous
// release, and with the present tools.
func (u *upgrade) deployPrevious(ctx context.Context) error {
	sam, err := filepath.Abs(filepath.Join(".build", "venv", "bin", "sam"))
	if err != nil {
		return err
	}
	folder := filepath.Join(u.out, "previous")
	if !u.extracted {
		if err := u.previous.Extract(ctx, folder); err != nil {
			return err
		}
		u.extracted = true
	}
	return u.deployWith(ctx, []string{"-C", folder, "SAM=" + sam, "VERSION=" + u.previous.Version}, "previous.log", u.parameters[0]...)
}

// begin makes a stack of the previous release. Its program lists the registry, learns of an
// event, and leaves its state for the next one.
func (u *upgrade) begin(ctx context.Context) (string, error) {
	if err := u.deployPrevious(ctx); err != nil {
		return "", err
	}
	first, err := u.push(ctx)
	if err != nil {
		return "", err
	}
	if first.version != u.previous.Version {
		return "", fmt.Errorf("the program says that it is %s, want %s", first.version, u.previous.Version)
	}
	if _, err := u.imageEvent(ctx); err != nil {
		return "", err
	}
	u.last, err = u.push(ctx)
	return fmt.Sprintf("%s: %d series", u.last.version, len(u.last.series)), err
}

// next deploys the other release over the one before, whose state it has to go on with: its
// first run calls no API, and continues all series.
func (u *upgrade) next(ctx context.Context, deploy func(context.Context) error, back bool) (string, error) {
	before := u.registry.Server.Calls()
	if err := deploy(ctx); err != nil {
		return "", err
	}
	now, err := u.push(ctx)
	if err != nil {
		return "", err
	}
	calls := u.registry.Server.Calls()
	maps.DeleteFunc(calls, func(operation string, n int) bool { return n == before[operation] })
	if len(calls) > 0 {
		return "", fmt.Errorf("what the program before knew was asked for again: %v", slices.Sorted(maps.Keys(calls)))
	}
	result, err := now.continues(u.last, back)
	if err != nil {
		return "", err
	}
	if err := u.onlyState(ctx); err != nil {
		return "", err
	}
	// An event, for the next one to find in the state.
	if _, err := u.imageEvent(ctx); err != nil {
		return "", err
	}
	u.last, err = u.push(ctx)
	return result, err
}

// push makes a run and returns what the store has of it.
func (u *upgrade) push(ctx context.Context) (snapshot, error) {
	reported, err := u.invoke(ctx)
	if err != nil {
		return snapshot{}, err
	}
	if err := reported.check(); err != nil {
		return snapshot{}, err
	}
	samples, err := u.stores[0].At(ctx, reported.Timestamp)
	if err != nil {
		return snapshot{}, err
	}
	p := snapshot{at: reported.Timestamp, families: map[string]bool{}, series: map[string]float64{}}
	for _, sample := range samples {
		if version, ok := sample.Labels["version"]; ok {
			p.version = version
			delete(sample.Labels, "version")
		}
		family := sample.Labels["__name__"]
		delete(sample.Labels, "__name__")
		key := family + strings.TrimPrefix(fmt.Sprint(sample.Labels), "map") // sorted by name
		if sample.Stale {
			p.ended = append(p.ended, key)
			continue
		}
		p.families[family], p.series[key] = true, sample.Value
	}
	return p, nil
}

// continues checks that the series of a run of another release go on, as far as both know the
// family: with the same labels and values, at most a slot later, and none has ended. Only on
// the way back families may go, without markers, besides those about calls. A marker of a
// series that had ended before is sent again by every cold start, and changes nothing.
func (p snapshot) continues(before snapshot, back bool) (string, error) {
	if p.version == before.version {
		return "", fmt.Errorf("the program is still %s", p.version)
	}
	if gap := p.at.Sub(before.at); gap > slot {
		return "", fmt.Errorf("the series have a gap of %s", gap)
	}
	var errs []error
	for _, key := range p.ended {
		if _, live := before.series[key]; live {
			errs = append(errs, fmt.Errorf("ended: %s", key))
		}
	}
	goOn := 0
	for key, value := range before.series {
		switch now, ok := p.series[key]; {
		case !p.knows(key) && (back || strings.HasPrefix(key, exporterFamily)):
		case !ok:
			errs = append(errs, fmt.Errorf("missing: %s", key))
		case now != value && !strings.HasPrefix(key, exporterFamily):
			errs = append(errs, fmt.Errorf("%v, was %v: %s", now, value, key))
		default:
			goOn++
		}
	}
	for key := range p.series {
		if _, ok := before.series[key]; !ok && before.knows(key) {
			errs = append(errs, fmt.Errorf("new: %s", key))
		}
	}
	if len(errs) > 0 {
		return "", fmt.Errorf("%d series do not go on, such as:\n%w", len(errs), errors.Join(errs[:min(len(errs), 10)]...))
	}
	return fmt.Sprintf("%s: %d series go on after %.0f s without a call; %d only before, %d only now", p.version, goOn, p.at.Sub(before.at).Seconds(), len(before.series)-goOn, len(p.series)-goOn), nil
}

// onlyState checks that nothing was set aside.
func (u *upgrade) onlyState(ctx context.Context) error {
	bucket, prefix := u.outputs["StateBucketName"], stackName+"/inventory"
	listed, err := u.emulator.objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		return fmt.Errorf("list the state bucket: %w", err)
	}
	for _, object := range listed.Contents {
		if *object.Key != prefix && *object.Key != prefix+".changes" {
			return fmt.Errorf("the state was set aside: the bucket has %s", *object.Key)
		}
	}
	return nil
}
