package config

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TagKeys are keys of AWS tags, sorted, each once. They are written separated by commas, which
// no key of ECR's has.
//
// See https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-using-tags.html.
type TagKeys []string

const (
	maxTagKeys = 50 // what a resource can have
	maxTagKey  = 128
)

// UnmarshalText reads the keys, without white space around them.
func (k *TagKeys) UnmarshalText(text []byte) error {
	*k = nil
	for key := range strings.SplitSeq(string(text), ",") {
		key = strings.TrimSpace(key)
		if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKey || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
			return errRule
		}
		*k = append(*k, key)
	}
	slices.Sort(*k)
	if len(*k) > maxTagKeys || len(slices.Compact(slices.Clone(*k))) < len(*k) {
		return errRule
	}
	return nil
}
