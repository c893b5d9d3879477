package metrics

import (
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// subject is what one series is about, and all that a row may read. Levels fill it from
// the top down.
type subject struct {
	options    *Options
	shape      *inventory.Shape
	registry   *inventory.Registry
	repository *inventory.Repository
	image      *inventory.Image
	tag        string
	platform   string
	severity   inventory.SeverityCount
	i          int // of a family's series, if it has many
	// digest and reference are the texts of the image's digest and of its "uri:tag".
	// They share a buffer, and are valid for one subject only.
	digest, reference string
	buffer            []byte
	// run and key, the value of a family's own label, are set for RunFamilies only.
	run *Run
	key string
	// fleet is set for FleetFamilies only.
	fleet *Fleet
}

// describe builds the texts of the image's digest and reference in the buffer, which the
// next subject overwrites.
func (s *subject) describe() {
	b := s.image.Digest.Append(s.buffer[:0])
	b = append(b, s.repository.URI...)
	b = append(b, ':')
	b = append(b, s.tag...)
	s.buffer = b
	// The strings share the buffer instead of copying it: Series documents that they
	// are valid for one step of the iterator only.
	text := unsafe.String(unsafe.SliceData(b), len(b))
	s.digest, s.reference = text[:inventory.DigestLen], text[inventory.DigestLen:]
}
