package podtest_test

import (
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// Each pod has a name of its own within its cluster, and its kind says what becomes of it:
// without a result there is a reason.
func TestPods(t *testing.T) {
	t.Parallel()
	image := func(name string) podtest.Image {
		return podtest.Image{Name: name, URI: "registry.example/" + name, Tag: "v1", Digest: "sha256:" + strings.Repeat("a", 64)}
	}
	images := podtest.Images{Plain: image("plain"), Index: image("index"), Config: "sha256:" + strings.Repeat("b", 64)}
	pods := podtest.Pods(&images)
	names := map[string]bool{}
	for _, p := range pods {
		name := p.ClusterName() + "/" + p.Pod
		if names[name] || strings.Trim(p.Pod, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("%s: the name %s is taken or not a name", p.Kind, name)
		}
		names[name] = true
		if p.ByDigest == nil && p.DigestNote == "" || p.ByImage == nil && p.ImageNote == "" {
			t.Errorf("%s: no result and no reason", p.Kind)
		}
		if p.Wrong && p.ByImage == p.ByDigest {
			t.Errorf("%s: wrong, but what the pod runs", p.Kind)
		}
		if (p.State == podtest.Waiting) != (p.ID == "") {
			t.Errorf("%s: state %d with image_id %q", p.Kind, p.State, p.ID)
		}
	}
	text := podtest.Metrics(pods)
	for metric, want := range map[string]int{
		"kube_pod_container_info{": len(pods) - 1, "kube_pod_container_status_running{": len(pods) - 1,
		"kube_pod_init_container_info{": 1, "kube_pod_init_container_status_running{": 1,
	} {
		if got := strings.Count(text, "\n"+metric) + strings.Count(text[:len(metric)], metric); got != want {
			t.Errorf("%d of %s, want %d", got, metric, want)
		}
	}
	if rows := strings.Count(podtest.Table(), "\n") - 2; rows != len(pods) {
		t.Errorf("the table has %d rows for %d pods", rows, len(pods))
	}
}
