package auth

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// invalidTime is the least time between two invalidations of credentials.
const invalidTime = time.Minute

// refused invalidates credentials that the receiver says have expired.
func (s *SigV4) refused(_ aws.Credentials, resp *http.Response, _ error) bool {
	cache, ok := s.credentials.(interface{ Invalidate() })
	if !ok || !expired(resp) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.invalidated) >= invalidTime {
		s.invalidated = now
		cache.Invalidate()
	}
	return true
}

// maxSearched is how much of an answer is searched for why it refuses.
const maxSearched = 4 << 10

// expired reports whether AWS answers that the session's token has expired: code
// ExpiredToken or ExpiredTokenException, or the message that goes with them where
// AMP names no code. Other reasons for a 403, such as a missing permission, would be
// the same with new credentials. The answer can still be read from its start.
// See https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func expired(resp *http.Response) bool {
	if resp == nil || resp.StatusCode != http.StatusForbidden {
		return false
	}
	if strings.Contains(resp.Header.Get("X-Amzn-Errortype"), "ExpiredToken") {
		return true
	}
	start, err := io.ReadAll(io.LimitReader(resp.Body, maxSearched))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failingReader{err}
	}
	resp.Body = &spliced{Reader: io.MultiReader(strings.NewReader(string(start)), rest), Closer: resp.Body}
	text := string(start)
	return strings.Contains(text, "ExpiredToken") || strings.Contains(text, "security token included in the request is expired")
}

// spliced is a body whose start was read and put back.
type spliced struct {
	io.Reader
	io.Closer
}

// failingReader fails as the body did.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
