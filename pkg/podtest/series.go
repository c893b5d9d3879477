package podtest

import (
	"fmt"
	"strings"
)

// Metrics returns the metrics of the pods as kube-state-metrics exposes them, with the
// label cluster.
// See https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md
func Metrics(pods []Pod) string {
	var text strings.Builder
	for n := range pods {
		p := &pods[n]
		container := "container"
		if p.Init {
			container = "init_container"
		}
		owner := fmt.Sprintf("cluster=%q,namespace=%q,pod=%q,uid=%q,container=%q", p.ClusterName(), Namespace, p.Pod, p.uid(), Container)
		containerID := ""
		if p.State != Waiting {
			_, digits, _ := strings.Cut(digestOf("container "+p.uid()), ":")
			containerID = "containerd://" + digits
		}
		running := 0
		if p.State == Running {
			running = 1
		}
		fmt.Fprintf(&text, "kube_pod_%s_info{%s,image_spec=%q,image=%q,image_id=%q,container_id=%q} 1\n", container, owner, p.Spec, p.Image, p.ID, containerID)
		fmt.Fprintf(&text, "kube_pod_%s_status_running{%s} %d\n", container, owner, running)
	}
	return text.String()
}

// uid is the pod's unique identifier.
func (p *Pod) uid() string {
	_, d, _ := strings.Cut(digestOf("pod "+p.ClusterName()+" "+p.Kind), ":")
	return strings.Join([]string{d[:8], d[8:12], d[12:16], d[16:20], d[20:32]}, "-")
}
