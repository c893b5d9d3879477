package remotewritetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SigV4 is the signature that requests must have. It is verified by an implementation of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
// without the SDK.
type SigV4 struct {
	AccessKeyID, SecretAccessKey string
	// SessionToken must be in X-Amz-Security-Token; if it is empty, the header must be
	// absent.
	SessionToken string
	// Region and Service are those of the credential scope, such as eu-west-1 and
	// aps.
	Region, Service string
}

// maxSkew is the largest difference between a signature's date and now.
const maxSkew = 5 * time.Minute

// maySkip are the headers that need not be signed. The SDK omits them because proxies
// may change them.
var maySkip = []string{"authorization", "user-agent", "x-amzn-trace-id", "expect", "transfer-encoding", "connection"}

// denied is a violation with status 403, as AWS has it.
func denied(format string, args ...any) error {
	return &violation{http.StatusForbidden, "signature: " + fmt.Sprintf(format, args...)}
}

// Verify checks the signature of a request with the given body.
func (s *SigV4) Verify(req *http.Request, body []byte) error {
	got := req.Header.Values("Authorization")
	if len(got) != 1 {
		return denied("%d Authorization headers, want 1", len(got))
	}
	auth, err := parseAuthorization(got[0])
	if err != nil {
		return err
	}
	stamp := req.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil {
		return denied("X-Amz-Date is %q, want YYYYMMDDTHHMMSSZ", stamp)
	}
	if skew := time.Since(at).Abs(); skew > maxSkew {
		return denied("X-Amz-Date is %s from now, at most %s are allowed", skew, maxSkew)
	}
	scope := strings.Join([]string{stamp[:8], s.Region, s.Service, "aws4_request"}, "/")
	if want := s.AccessKeyID + "/" + scope; auth.credential != want {
		return denied("credential is %q, want %q", auth.credential, want)
	}
	if token := req.Header.Get("X-Amz-Security-Token"); token != s.SessionToken {
		return denied("X-Amz-Security-Token is not the session's token")
	}
	if err := s.checkSigned(req, auth.headers); err != nil {
		return err
	}

	canonical, err := canonicalRequest(req, auth.headers, body)
	if err != nil {
		return err
	}
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexSum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + s.SecretAccessKey)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	if want := hex.EncodeToString(mac(key, toSign)); !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return denied("it does not match. The canonical request is\n%s", s.hide(canonical))
	}
	return nil
}

// hide removes the token from responses and logs.
func (s *SigV4) hide(text string) string {
	if s.SessionToken == "" {
		return text
	}
	return strings.ReplaceAll(text, s.SessionToken, "TOKEN")
}

type authorization struct {
	credential string
	headers    []string // in lower case
	signature  string
}

func parseAuthorization(value string) (a authorization, err error) {
	rest, ok := strings.CutPrefix(value, "AWS4-HMAC-SHA256 ")
	if !ok {
		return a, denied("Authorization does not start with AWS4-HMAC-SHA256")
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; twice {
			return a, denied("Authorization has %s twice", name)
		}
		fields[name] = v
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return a, denied("Authorization has no %s", name)
		}
	}
	if len(fields) != 3 {
		return a, denied("Authorization has fields that do not belong there")
	}
	return authorization{fields["Credential"], strings.Split(fields["SignedHeaders"], ";"), fields["Signature"]}, nil
}

// checkSigned requires that every header is signed, except for maySkip.
func (s *SigV4) checkSigned(req *http.Request, signed []string) error {
	if !slices.IsSorted(signed) || len(slices.Compact(slices.Clone(signed))) != len(signed) {
		return denied("SignedHeaders are not sorted, or name a header twice")
	}
	must := []string{"host"}
	for name := range req.Header {
		if lower := strings.ToLower(name); !slices.Contains(maySkip, lower) {
			must = append(must, lower)
		}
	}
	slices.Sort(must)
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return denied("header %s is not signed", name)
		}
	}
	for _, name := range signed {
		if !slices.Contains(must, name) && !slices.Contains(maySkip, name) {
			return denied("header %s is signed and was not sent", name)
		}
	}
	return nil
}

func canonicalRequest(req *http.Request, signed []string, body []byte) (string, error) {
	query, err := canonicalQuery(req.URL.RawQuery)
	if err != nil {
		return "", err
	}
	lines := []string{
		req.Method,
		canonicalPath(req.URL),
		query,
	}
	for _, name := range signed {
		lines = append(lines, name+":"+canonicalHeader(req, name))
	}
	lines = append(lines, "", strings.Join(signed, ";"), hexSum(body))
	return strings.Join(lines, "\n"), nil
}

// canonicalPath is the path on the wire, encoded again, as for every service but S3.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	return encode(path, "/")
}

func canonicalQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	var pairs [][2]string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return "", denied("query cannot be read: %v", err)
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return "", denied("query cannot be read: %v", err)
		}
		pairs = append(pairs, [2]string{encode(name, ""), encode(value, "")})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = p[0] + "=" + p[1]
	}
	return strings.Join(parts, "&"), nil
}

// canonicalHeader is the joined values of a header, trimmed and with single spaces.
func canonicalHeader(req *http.Request, name string) string {
	switch name {
	case "host":
		return req.Host
	case "content-length":
		return strconv.FormatInt(req.ContentLength, 10)
	}
	values := slices.Clone(req.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// encode percent-encodes everything but the unreserved characters of RFC 3986
// and those in keep.
func encode(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
