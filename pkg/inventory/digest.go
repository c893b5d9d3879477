package inventory

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is the SHA-256 of an image's manifest: 32 bytes instead of the 96 that its
// text takes in memory.
type Digest [32]byte

// digestPrefix is the only algorithm ECR uses for imageDigest ("The sha256
// digest of the image manifest", API_ImageDetail).
const digestPrefix = "sha256:"

// DigestLen is the length of a digest's text, in bytes.
const DigestLen = len(digestPrefix) + 2*len(Digest{})

// ParseDigest reads "sha256:" and 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*len(d) {
		return Digest{}, fmt.Errorf("image digest %.100q: want sha256: and 64 hexadecimal digits", s)
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return Digest{}, fmt.Errorf("image digest %.100q: %w", s, err)
	}
	return d, nil
}

// String returns the digest as the API and the metric labels write it.
func (d Digest) String() string { return string(d.Append(nil)) }

// Append appends the digest's text to b.
func (d Digest) Append(b []byte) []byte {
	return hex.AppendEncode(append(b, digestPrefix...), d[:])
}

// Compare orders digests by their bytes, which is the order of their text.
func (d Digest) Compare(other Digest) int { return bytes.Compare(d[:], other[:]) }

// MarshalText writes the digest's text, for JSON.
func (d Digest) MarshalText() ([]byte, error) { return d.Append(nil), nil }
