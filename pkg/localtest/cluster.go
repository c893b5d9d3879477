//go:build unix

package localtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// Cluster are simulated pods of every kind that run images of the registry.
type Cluster struct {
	Pods     []podtest.Pod
	registry *ecrtest.Registry
	// rollout is when the pods began to start, one every podInterval; zero means long ago.
	rollout time.Time
}

const podInterval = 80 * time.Second

// at returns the pods that there are at a time.
func (c *Cluster) at(at time.Time) []podtest.Pod {
	if c.rollout.IsZero() {
		return c.Pods
	}
	return c.Pods[:min(len(c.Pods), max(0, int(at.Sub(c.rollout)/podInterval))+1)]
}

// Media types of the images.
const (
	ociImage    = "application/vnd.oci.image.config.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// AddCluster adds the images that the pods run to the registry.
func (r *Registry) AddCluster(now time.Time) (*Cluster, error) {
	s := &shop{registry: r.Registry, now: now}
	app, web := s.repository("shop/app"), s.repository("shop/web")
	images := podtest.Images{
		Previous: s.image(app, "v1", 7), // put first, so that it loses the tag
		Plain:    s.image(app, "v1", 2, "latest"), OtherTag: "latest",
		Clean:     s.image(app, "v3", 0),
		Unscanned: s.image(app, "v4", never),
		Child:     s.image(web, "", 3), HiddenChild: s.image(web, "", 1),
		Cached: s.image(s.repository("docker-hub/library/redis"), "8", 5),
		Copied: s.image(s.repository("copies/nginx"), "1.29", 4),
		Config: ecrtest.Digest("a configuration"),
	}
	images.Index = s.index(web, "v2", images.Child, images.HiddenChild)
	s.copy(images.Copied, s.repository("promoted/nginx"))
	images.Deleted = images.Plain
	images.Deleted.Tag, images.Deleted.Digest = "v0", ecrtest.Digest("deleted")
	images.Replica = images.Copied
	images.Replica.URI = strings.Replace(images.Replica.URI, r.ID(), "210987654321", 1)
	return &Cluster{Pods: podtest.Pods(&images), registry: r.Registry}, errors.Join(s.errs...)
}

// shop adds repositories and images, and collects the errors.
type shop struct {
	registry *ecrtest.Registry
	now      time.Time
	errs     []error
	images   int
}

func (s *shop) repository(name string) string {
	team, _, _ := strings.Cut(name, "/")
	if team != "shop" {
		team = "platform" // who looks after copies of images
	}
	s.errs = append(s.errs, s.registry.PutRepository(ecrtest.Repository{
		Name: name, CreatedAt: s.now.Add(-30 * 24 * time.Hour), TagMutability: "MUTABLE",
		Encryption: &ecrtest.Encryption{Type: "AES256"}, ScanOnPush: new(true),
		Tags: map[string]string{"team": team},
	}))
	return name
}

// never is the number of findings of an image that was never scanned.
const never = -1

// image adds an image with a number of CRITICAL findings.
func (s *shop) image(repository, tag string, critical int32, tags ...string) podtest.Image {
	s.images++
	image := s.named(repository, tag, fmt.Sprint("image ", s.images, " of the cluster"))
	if tag != "" {
		tags = append(tags, tag)
	}
	s.put(repository, ecrtest.Image{Digest: image.Digest, Tags: tags, ManifestMediaType: ociManifest, ArtifactMediaType: ociImage})
	s.scan(image, critical)
	return image
}

func (s *shop) named(repository, tag, content string) podtest.Image {
	return podtest.Image{Name: repository, URI: s.registry.URI(repository), Tag: tag, Digest: ecrtest.Digest(content)}
}

func (s *shop) put(repository string, image ecrtest.Image) {
	image.PulledAt = s.now // by the pods
	image.PushedAt, image.SizeBytes, image.Status = s.now.Add(-time.Duration(24-s.images)*time.Hour), new(int64(40e6)+int64(s.images)*1e6), "ACTIVE"
	s.errs = append(s.errs, s.registry.PutImage(repository, image))
}

// scan sets the result of an image's scan, an hour ago.
func (s *shop) scan(image podtest.Image, critical int32) {
	at := s.now.Add(-time.Hour)
	state := ecrtest.ScanState{At: at, CompletedAt: at, Counts: map[string]int32{}}
	if critical > 0 {
		state.Counts = map[string]int32{"CRITICAL": critical, "HIGH": 4 * critical}
	}
	scan := ecrtest.Scan{States: []ecrtest.ScanState{state}}
	if critical == never {
		scan.States = nil
	}
	s.errs = append(s.errs, s.registry.SetScan(image.Name, image.Digest, scan))
}

// index adds an index of two platforms with their attestations. Basic scanning does not
// support it.
func (s *shop) index(repository, tag string, amd64, arm64 podtest.Image) podtest.Image {
	index := s.named(repository, tag, "index of the cluster")
	children := []ecrtest.Child{
		{Digest: amd64.Digest, MediaType: ociManifest, Platform: "linux/amd64"},
		{Digest: arm64.Digest, MediaType: ociManifest, Platform: "linux/arm64"},
	}
	unsupported := ecrtest.Scan{States: []ecrtest.ScanState{{At: s.now.Add(-time.Hour), Status: "UNSUPPORTED_IMAGE"}}}
	for _, child := range children {
		digest := ecrtest.Digest("attestation of " + child.Digest)
		s.put(repository, ecrtest.Image{Digest: digest, ManifestMediaType: ociManifest, ArtifactMediaType: ociImage, Attestation: true})
		s.errs = append(s.errs, s.registry.SetScan(repository, digest, unsupported))
		children = append(children, ecrtest.Attestation(digest, child.Digest))
	}
	s.put(repository, ecrtest.Image{Digest: index.Digest, Tags: []string{tag}, ManifestMediaType: ociIndex, Children: children})
	s.errs = append(s.errs, s.registry.SetScan(repository, index.Digest, unsupported))
	return index
}

// copy adds an image to another repository.
func (s *shop) copy(image podtest.Image, repository string) {
	original, _ := s.registry.Image(image.Name, image.Digest)
	scan, _ := s.registry.Scan(image.Name, image.Digest, s.now)
	s.put(repository, original)
	s.errs = append(s.errs, s.registry.SetScan(repository, image.Digest, ecrtest.Scan{States: []ecrtest.ScanState{scan}}))
}

// Import stores the metrics of the cluster's kube-state-metrics at a time.
//
// See https://docs.victoriametrics.com/victoriametrics/#how-to-import-data-in-prometheus-exposition-format
func (s *Store) Import(ctx context.Context, c *Cluster, at time.Time) error {
	path := "/api/v1/import/prometheus?" + url.Values{"timestamp": {strconv.FormatInt(at.UnixMilli(), 10)}}.Encode()
	if err := s.post(ctx, path, podtest.Metrics(c.at(at))); err != nil {
		return fmt.Errorf("import the metrics of pods: %w", err)
	}
	return nil
}

// Check compares the result of a query for pods with CRITICAL findings, joined on the
// digest, with the registry at a time. Pods of tagged images with such findings have to be
// in the result; those of untagged images may be, with the right number.
func (c *Cluster) Check(result []Sample, at time.Time) error {
	got := map[string]float64{}
	for _, s := range result {
		got[s.Labels["cluster"]+"/"+s.Labels["pod"]] = s.Value
	}
	var errs []error
	for i := range c.Pods {
		p := &c.Pods[i]
		name := p.ClusterName() + "/" + p.Pod
		want, must := c.critical(p.ByDigest, at)
		value, found := got[name]
		delete(got, name)
		switch {
		case found && (want == 0 || value != want):
			errs = append(errs, fmt.Errorf("pod %s has %v CRITICAL findings, want %v", name, value, want))
		case !found && must:
			errs = append(errs, fmt.Errorf("pod %s is not there, want it with %v CRITICAL findings", name, want))
		}
	}
	for name := range got {
		errs = append(errs, fmt.Errorf("pod %s is not in the cluster", name))
	}
	return errors.Join(errs...)
}

// critical returns the CRITICAL findings of an image, and whether it is tagged and has any.
// An index has the highest number of its children.
func (c *Cluster) critical(of *podtest.Image, at time.Time) (findings float64, tagged bool) {
	if of == nil {
		return 0, false
	}
	image, ok := c.registry.Image(of.Name, of.Digest)
	if !ok {
		return 0, false
	}
	for _, digest := range append(digests(image.Children), of.Digest) {
		if scan, ok := c.registry.Scan(of.Name, digest, at); ok {
			findings = max(findings, float64(scan.Counts["CRITICAL"]))
		}
	}
	return findings, len(image.Tags) > 0 && findings > 0
}

func digests(children []ecrtest.Child) []string {
	var all []string
	for _, child := range children {
		all = append(all, child.Digest)
	}
	return all
}
