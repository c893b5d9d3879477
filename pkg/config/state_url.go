package config

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// StateURL says where the inventory is kept between runs: in a file, in an S3 object or,
// if it is zero, in memory.
type StateURL struct {
	// Path is the file.
	Path string
	// Bucket and Key name the S3 object.
	Bucket, Key string
}

// UnmarshalText reads "memory:", "file:///path" or "s3://bucket/key".
func (s *StateURL) UnmarshalText(text []byte) error {
	if object, ok := strings.CutPrefix(string(text), "s3://"); ok {
		s.Bucket, s.Key, _ = strings.Cut(object, "/")
		return must(validBucket(s.Bucket) && validKey(s.Key))
	}
	u, err := url.Parse(string(text))
	if err != nil {
		return errRule
	}
	switch {
	case u.Scheme == "memory":
		return must(u.Host+u.Path+u.Opaque+u.RawQuery == "")
	case u.Scheme == "file":
		s.Path = path.Clean(u.Path)
		return must(u.Host == "" && path.IsAbs(u.Path) && !strings.HasSuffix(u.Path, "/") && u.RawQuery+u.Fragment == "")
	}
	return errRule
}

// String writes the URL.
func (s StateURL) String() string {
	switch {
	case s.Bucket != "":
		return "s3://" + s.Bucket + "/" + s.Key
	case s.Path != "":
		return (&url.URL{Scheme: "file", Path: s.Path}).String()
	}
	return "memory:"
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validBucket checks a name against the rules for general purpose buckets:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
func validBucket(name string) bool {
	_, notAddress := netip.ParseAddr(name)
	return bucketName.MatchString(name) && !strings.Contains(name, "..") && notAddress != nil
}

// maxKey is S3's limit of 1024 bytes less the longest suffix of the keys under which
// a state that cannot be used is set aside.
const maxKey = 1024 - len(".damaged.changes")

// validKey refuses keys that S3 accepts but that a URL or a client would change: with ?,
// #, control characters, and empty, "." or ".." path elements. There are no escapes, as
// with the AWS CLI.
func validKey(key string) bool {
	return len(key) <= maxKey && utf8.ValidString(key) &&
		!strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '?' || r == '#' }) &&
		!slices.ContainsFunc(strings.Split(key, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
}
