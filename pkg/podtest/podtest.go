// Package podtest states what kubelet and kube-state-metrics report of pods, one of each
// kind that a join with the series of images has to find or cannot find: by tag, pinned by
// digest, of an index, from a mirror, imported, and so on.
//
// Tests evaluate the documented queries on it, `make run` fills a simulated cluster with it,
// and the table in docs/queries.md is generated from it. It knows nothing of the function.
package podtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Image is a manifest in a repository.
type Image struct {
	// Name and URI are those of the repository.
	Name, URI string
	// Tag is the image's, or the one that it had.
	Tag    string
	Digest string
}

// Ref is the image by its tag.
func (i Image) Ref() string { return i.URI + ":" + i.Tag }

// ID is the image by its digest, as image_id usually reports it.
func (i Image) ID() string { return i.URI + "@" + i.Digest }

// Images are those that the pods run.
type Images struct {
	Plain Image
	// OtherTag is another tag of Plain.
	OtherTag string
	// Index has several platforms.
	Index Image
	// Child is the image of one platform of an index, and in use by Inspector's count.
	// HiddenChild is one without series.
	Child, HiddenChild Image
	// Previous had Plain's tag until it moved, and has no tag now.
	Previous Image
	// Cached is in the repository of a pull-through cache.
	Cached Image
	// Copied is in two repositories, Replica in one of another registry; both have the same
	// digest and tag.
	Copied, Replica Image
	// Clean has a scan without findings, Unscanned has none.
	Clean, Unscanned Image
	// Deleted is no longer in the registry.
	Deleted Image
	// Config is the digest of an image's configuration, which no registry series has.
	Config string
}

// State is that of a container.
type State uint8

// The states of containers.
const (
	Running State = iota
	Finished
	Waiting
)

// Pod is a kind of pod, with one container.
type Pod struct {
	// Kind describes the pod in a few words, Pod is its name.
	Kind, Pod string
	// Spec, Image and ID are the labels image_spec, image and image_id.
	Spec, Image, ID string
	State           State
	// Init is set for an init container, which includes sidecars.
	Init bool
	// Cluster is the number of the pod's cluster, from 0.
	Cluster int

	// ByDigest is the image that a join on the digest finds, nil for none; Name is the
	// repository in image_id. ByImage is the image that a join on the label image finds.
	ByDigest, ByImage *Image
	Name              string
	// DigestNote and ImageNote say why there is none, or what to know of the result.
	DigestNote, ImageNote string
	// Wrong is set if ByImage is not what the pod runs.
	Wrong bool
}

// Pods returns one pod of each kind. Two of them, in different clusters, have the same
// name.
func Pods(i *Images) []Pod {
	other := i.Plain
	other.Tag = i.OtherTag
	pods := []Pod{
		{Kind: "by tag", Spec: i.Plain.Ref(), ByDigest: &i.Plain, ByImage: &i.Plain},
		{
			Kind: "the same in another cluster", Pod: "by-tag", Cluster: 1, Spec: i.Plain.Ref(), ByDigest: &i.Plain, ByImage: &i.Plain,
			ImageNote: "one row for both clusters",
		},
		{
			Kind: "by a tag of two", Spec: i.Plain.Ref(), Image: other.Ref(), ByDigest: &i.Plain, ByImage: &other,
			ImageNote: "under either tag, and only if it has series",
		},
		{
			Kind: "an index by tag", Spec: i.Index.Ref(), ByDigest: &i.Index, ByImage: &i.Index,
			DigestNote: "the highest count of its platforms",
		},
		{
			Kind: "pinned by digest", Spec: i.Plain.ID(), Image: i.Config, ByDigest: &i.Plain,
			ImageNote: "containerd reports a configuration",
		},
		{
			Kind: "pinned by tag and digest", Spec: i.Index.Ref() + "@" + i.Index.Digest, Image: i.Config, ByDigest: &i.Index,
			ImageNote: "containerd reports a configuration",
		},
		{
			Kind: "pinned by digest, CRI-O", Spec: i.Plain.ID(), ByDigest: &i.Plain,
			ImageNote: "`image` has no tag",
		},
		{
			Kind: "by a tag that has moved since", Spec: i.Plain.Ref(), ID: i.Previous.ID(), ByDigest: &i.Previous, ByImage: &i.Plain, Wrong: true,
			DigestNote: "as an untagged image", ImageNote: "of the image that has the tag now",
		},
		{
			Kind: "a child of an index by digest", Spec: i.Child.ID(), Image: i.Config, ByDigest: &i.Child,
			DigestNote: "while Inspector counts it as in use", ImageNote: "it has no tag",
		},
		{
			Kind: "an index whose child the runtime reports (CRI-O)", Spec: i.Index.Ref(), ID: i.HiddenChild.ID(), ByImage: &i.Index,
			DigestNote: "a child has no series, unless Inspector counts it as in use",
		},
		{Kind: "through a pull-through cache", Spec: i.Cached.Ref(), ByDigest: &i.Cached, ByImage: &i.Cached},
		{
			Kind: "through a mirror", Spec: "docker.io/library/nginx:1.29", ID: "docker.io/library/nginx@" + i.Copied.Digest, Name: "library/nginx",
			ByDigest: &i.Copied, DigestNote: "with the name upstream", ImageNote: "`image` is the name upstream",
		},
		{
			Kind: "from another of your registries", Spec: i.Replica.Ref(), ByDigest: &i.Replica, ByImage: &i.Replica,
			DigestNote: "also if only the other registry is read", ImageNote: "only if that registry is read",
		},
		{Kind: "Docker (cri-dockerd)", Spec: i.Plain.Ref(), ID: "docker-pullable://" + i.Plain.ID(), ByDigest: &i.Plain, ByImage: &i.Plain},
		{
			Kind: "Docker, of Docker Hub through a mirror", Spec: "nginx:1.29", ID: "docker-pullable://nginx@" + i.Copied.Digest, Name: "nginx",
			ByDigest: &i.Copied, DigestNote: "with the name upstream", ImageNote: "`image` is the name upstream",
		},
		{Kind: "an init container or sidecar", Init: true, Spec: i.Plain.Ref(), ByDigest: &i.Plain, ImageNote: "not in `kube_pod_container_info`"},
		{Kind: "finished", State: Finished, Spec: i.Plain.Ref(), ByDigest: &i.Plain, ByImage: &i.Plain},
		{
			Kind: "not pulled yet", State: Waiting, Spec: i.Plain.Ref(), ByImage: &i.Plain, Wrong: true,
			DigestNote: "it runs nothing", ImageNote: "of what the tag names",
		},
		{
			Kind: "imported on the node", Spec: "app:dev", Image: "docker.io/library/app:dev", ID: i.Config,
			DigestNote: "a configuration is in no registry", ImageNote: "it was not pulled",
		},
		{
			Kind: "imported under the registry's name", Spec: i.Plain.Ref(), ID: i.Config, ByImage: &i.Plain, Wrong: true,
			DigestNote: "a configuration is in no registry", ImageNote: "of what the tag names",
		},
		{
			Kind: "from a registry that is not yours", Spec: "quay.io/team/tool:v3", ID: "quay.io/team/tool@" + digestOf("quay.io/team/tool"),
			DigestNote: "not in ECR", ImageNote: "not in ECR",
		},
		{
			Kind: "deleted from the registry since", Spec: i.Deleted.Ref(), ID: i.Deleted.ID(),
			DigestNote: "no longer in ECR", ImageNote: "no longer in ECR",
		},
		{
			Kind: "a clean scan", Spec: i.Clean.Ref(), ID: i.Clean.ID(),
			DigestNote: "no finding, so no series", ImageNote: "no finding, so no series",
		},
		{
			Kind: "never scanned", Spec: i.Unscanned.Ref(), ID: i.Unscanned.ID(),
			DigestNote: "no scan, so no series", ImageNote: "no scan, so no series",
		},
	}
	for n := range pods {
		pods[n].complete()
	}
	return pods
}

// complete sets what follows from the image: what most pods report.
func (p *Pod) complete() {
	if p.Image == "" {
		p.Image = p.Spec
	}
	if p.ID == "" && p.ByDigest != nil {
		p.ID = p.ByDigest.ID()
	}
	if p.ByDigest != nil && p.Name == "" {
		p.Name = p.ByDigest.Name
	}
	if p.Pod == "" {
		p.Pod = slug(p.Kind)
	}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// The labels of all pods.
const (
	Namespace = "shop"
	Container = "app"
)

// slug makes a name of a few words.
func slug(words string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r == ' ' || r == '-':
			return '-'
		}
		return -1
	}, strings.ToLower(words))
}

// ClusterName is the label that the cluster's Prometheus adds.
func (p *Pod) ClusterName() string { return fmt.Sprintf("eu-%d", p.Cluster+1) }
