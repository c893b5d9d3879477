package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// WriteJSON writes an inventory for people and their tools, as JSON lines: one for
// the registry, then for each repository its own and one for each of its images, and
// then the same for the former records of what ended, marked as such. Each line's
// "record" says which it is; a field that is not known is left out, but for an
// image's size, which is null. Times are RFC 3339 in UTC.
//
// It stops when ctx ends.
func WriteJSON(ctx context.Context, w io.Writer, registry *Registry) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err := lines.Encode(registryLine{
		Record: "registry", ID: registry.ID, ListedAt: utc(registry.ListedAt), PushedAt: utc(registry.PushedAt),
		ScanSource: registry.ScanSource, ScansListedAt: utc(registry.ScansListedAt), ScansPending: registry.ScansPending, ScansOldest: utc(registry.ScansOldest),
		SucceededAt: utc(registry.SucceededAt), Protocols: registry.Protocols,
		Repositories: len(registry.Repositories), Ended: len(registry.Ended),
	})
	write := func(list []*Repository, ended bool) {
		for _, repository := range list {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = writeRepository(lines, repository, ended)
			}
		}
	}
	write(registry.Repositories, false)
	write(registry.Ended, true)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the inventory as JSON lines: %w", err)
	}
	return nil
}

func writeRepository(lines *json.Encoder, r *Repository, ended bool) error {
	err := lines.Encode(repositoryLine{
		Record: "repository", Name: r.Name, ARN: r.ARN, URI: r.URI, RegistryID: r.RegistryID, CreatedAt: utc(r.CreatedAt),
		TagMutability: r.TagMutability, EncryptionType: r.EncryptionType, KMSKey: r.KMSKey, ScanOnPush: r.ScanOnPush,
		ImagesReadAt: utc(r.ImagesReadAt), TriedAt: utc(r.TriedAt), ScansDueSince: utc(r.ScansDueSince), Due: r.Due, Denied: r.Denied,
		Unsent: r.Unsent, Hidden: r.Hidden,
		Images: len(r.Images), Ended: ended,
	})
	for i := 0; i < len(r.Images) && err == nil; i++ {
		image := &r.Images[i]
		line := imageLine{
			Record: "image", Repository: r.Name, Digest: image.Digest.String(), Tags: image.Tags,
			PushedAt: utc(image.PushedAt), PulledAt: utc(image.PulledAt), MediaType: image.MediaType, ArtifactType: image.ArtifactType,
			Status: image.Status, Scan: scanJSON(image.Scan), Hidden: image.Hidden, Ended: ended,
		}
		if line.Tags == nil {
			line.Tags = []string{}
		}
		if image.SizeBytes >= 0 {
			line.SizeBytes = &image.SizeBytes
		}
		err = lines.Encode(line)
	}
	return err
}

type registryLine struct {
	Record        string            `json:"record"`
	ID            string            `json:"id,omitempty"`
	ListedAt      time.Time         `json:"listed_at,omitzero"`
	PushedAt      time.Time         `json:"pushed_at,omitzero"`
	ScanSource    string            `json:"scan_source,omitempty"`
	ScansListedAt time.Time         `json:"scans_listed_at,omitzero"`
	ScansPending  int               `json:"scans_pending,omitempty"`
	ScansOldest   time.Time         `json:"scans_oldest,omitzero"`
	SucceededAt   time.Time         `json:"succeeded_at,omitzero"`
	Protocols     map[string]string `json:"protocols,omitempty"`
	Repositories  int               `json:"repositories"`
	Ended         int               `json:"ended"`
}

type repositoryLine struct {
	Record         string    `json:"record"`
	Name           string    `json:"name"`
	ARN            string    `json:"arn,omitempty"`
	URI            string    `json:"uri,omitempty"`
	RegistryID     string    `json:"registry_id,omitempty"`
	CreatedAt      time.Time `json:"created_at,omitzero"`
	TagMutability  string    `json:"tag_mutability,omitempty"`
	EncryptionType string    `json:"encryption_type,omitempty"`
	KMSKey         string    `json:"kms_key,omitempty"`
	ScanOnPush     *bool     `json:"scan_on_push,omitempty"`
	ImagesReadAt   time.Time `json:"images_read_at,omitzero"`
	TriedAt        time.Time `json:"tried_at,omitzero"`
	ScansDueSince  time.Time `json:"scans_due_since,omitzero"`
	Due            bool      `json:"due,omitempty"`
	Denied         bool      `json:"denied,omitempty"`
	Unsent         bool      `json:"unsent,omitempty"`
	Hidden         bool      `json:"hidden,omitempty"`
	Images         int       `json:"images"`
	Ended          bool      `json:"ended,omitempty"`
}

type imageLine struct {
	Record       string    `json:"record"`
	Repository   string    `json:"repository"`
	Digest       string    `json:"digest"`
	Tags         []string  `json:"tags"`
	SizeBytes    *int64    `json:"size_bytes"`
	PushedAt     time.Time `json:"pushed_at,omitzero"`
	PulledAt     time.Time `json:"pulled_at,omitzero"`
	MediaType    string    `json:"media_type,omitempty"`
	ArtifactType string    `json:"artifact_type,omitempty"`
	Status       string    `json:"status,omitempty"`
	Scan         *scanLine `json:"scan,omitempty"`
	Hidden       bool      `json:"hidden,omitempty"`
	Ended        bool      `json:"ended,omitempty"`
}

type scanLine struct {
	Status      string           `json:"status,omitempty"`
	CompletedAt time.Time        `json:"completed_at,omitzero"`
	AskedAt     time.Time        `json:"asked_at,omitzero"`
	Severities  map[string]int32 `json:"severities"`
	Unfinished  int              `json:"unfinished,omitempty"`
	Partial     bool             `json:"partial,omitempty"`
	Total       int32            `json:"total,omitempty"`
	InUseCount  int64            `json:"in_use_count,omitempty"`
	LastInUseAt time.Time        `json:"last_in_use_at,omitzero"`
}

func scanJSON(s *Scan) *scanLine {
	if s == nil {
		return nil
	}
	line := &scanLine{
		Status: s.Status, CompletedAt: utc(s.CompletedAt), AskedAt: utc(s.AskedAt), Severities: map[string]int32{},
		Unfinished: s.Unfinished, Partial: s.Partial, Total: s.Total, InUseCount: s.InUseCount, LastInUseAt: utc(s.LastInUseAt),
	}
	for _, severity := range s.Severities {
		line.Severities[severity.Severity] = severity.Count
	}
	return line
}

// utc is t for JSON; a moment that is not known stays the zero time.
func utc(t Time) time.Time { return t.Time().UTC() }
