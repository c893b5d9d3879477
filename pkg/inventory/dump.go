package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes an inventory for people and their tools, as JSON lines: one for the
// registry, then for each repository its own and one for each of its images, then the
// same for previous versions of records, marked as such. A line's "record" says which it
// is. Unknown fields are left out, but an unknown size is null. Times are RFC 3339 in
// UTC, durations nanoseconds. It stops when ctx ends.
func WriteJSON(ctx context.Context, w io.Writer, registry *Registry) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err := lines.Encode(struct {
		Record string `json:"record"`
		*Registry
		Repositories int `json:"repositories"`
		Previous     int `json:"previous"`
	}{"registry", registry, len(registry.Repositories), len(registry.Previous)})
	for i := 0; i < len(registry.Repositories)+len(registry.Previous) && err == nil; i++ {
		if err = ctx.Err(); err != nil {
			break
		}
		if i < len(registry.Repositories) {
			err = writeRepository(lines, registry.Repositories[i], false)
		} else {
			err = writeRepository(lines, registry.Previous[i-len(registry.Repositories)], true)
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the inventory as JSON lines: %w", err)
	}
	return nil
}

func writeRepository(lines *json.Encoder, repository *Repository, previous bool) error {
	err := lines.Encode(struct {
		Record string `json:"record"`
		*Repository
		Images   int  `json:"images"`
		Previous bool `json:"previous,omitempty"`
	}{"repository", repository, len(repository.Images), previous})
	for i := 0; i < len(repository.Images) && err == nil; i++ {
		image := &repository.Images[i]
		line := struct {
			Record     string `json:"record"`
			Repository string `json:"repository"`
			*Image
			Tags      []string `json:"tags"`
			SizeBytes *int64   `json:"size_bytes"`
			Previous  bool     `json:"previous,omitempty"`
		}{Record: "image", Repository: repository.Name, Image: image, Tags: append([]string{}, image.Tags...), Previous: previous}
		if image.SizeBytes >= 0 {
			line.SizeBytes = &image.SizeBytes
		}
		err = lines.Encode(line)
	}
	return err
}
