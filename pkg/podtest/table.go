package podtest

import (
	"fmt"
	"strings"
)

// Table is the table of all kinds in Markdown. In it R is the host of a registry, and words
// stand for the digits of digests.
func Table() string {
	image := func(name, tag, digest string) Image {
		return Image{Name: name, URI: "R/" + name, Tag: tag, Digest: "sha256:" + digest}
	}
	images := Images{
		Plain: image("app", "v1", "APP"), OtherTag: "latest",
		Index: image("web", "v2", "INDEX"),
		Child: image("web", "v2", "CHILD"), HiddenChild: image("web", "v2", "CHILD"),
		Previous: image("app", "v1", "PREVIOUS"),
		Cached:   image("docker-hub/library/redis", "8", "REDIS"),
		Copied:   image("copies/nginx", "1.29", "NGINX"),
		Replica:  Image{Name: "app", URI: "R2/app", Tag: "v1", Digest: "sha256:APP"},
		Clean:    image("app", "v3", "CLEAN"), Unscanned: image("app", "v4", "UNSCANNED"),
		Deleted: image("app", "v0", "DELETED"),
		Config:  "sha256:CONFIG",
	}
	var text strings.Builder
	text.WriteString("| pod | `image_spec` | `image` | `image_id` | join on `digest` | join on `image` |\n|---|---|---|---|---|---|\n")
	for _, p := range Pods(&images) {
		id := p.ID
		if strings.HasPrefix(id, "quay.io") {
			id = "quay.io/team/tool@sha256:TOOL"
		}
		same := func(label, other string) string {
			if label == other {
				return "the same"
			}
			return code(label)
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", p.Kind, code(p.Spec), same(p.Image, p.Spec), same(id, p.Image),
			result(p.ByDigest != nil, false, p.DigestNote), result(p.ByImage != nil, p.Wrong, p.ImageNote))
	}
	return text.String()
}

func code(label string) string {
	if label == "" {
		return "empty"
	}
	return "`" + label + "`"
}

// result describes the result of a join.
func result(found, wrong bool, note string) string {
	text := "none"
	switch {
	case wrong:
		text = "**wrong**"
	case found:
		text = "found"
	}
	if note != "" {
		text += ": " + note
	}
	return text
}
