package config

import "regexp"

// Regexp is a regular expression in RE2's syntax that has to match all of a text
// (https://github.com/google/re2/wiki/Syntax). It is one side of a Filter.
type Regexp struct {
	whole *regexp.Regexp
	text  string
}

// UnmarshalText compiles the expression. The error says what is wrong with it.
func (r *Regexp) UnmarshalText(text []byte) error {
	// Compiled alone first: "a)|(b" is none, but would be within the parentheses.
	if _, err := regexp.Compile(string(text)); err != nil {
		return reason(err.Error())
	}
	whole, err := regexp.Compile(`\A(?:` + string(text) + `)\z`)
	if err != nil {
		return reason(err.Error())
	}
	*r = Regexp{whole, string(text)}
	return nil
}

// IsSet reports whether there is an expression.
func (r Regexp) IsSet() bool { return r.whole != nil }

// String returns the expression as it was written.
func (r Regexp) String() string { return r.text }

// Filter chooses by name. What has no Include includes everything, what has no Exclude
// excludes nothing: the zero Filter lets everything through.
type Filter struct{ Include, Exclude Regexp }

// Match reports whether the name is chosen: it is included, and not excluded.
func (f Filter) Match(name string) bool {
	return (!f.Include.IsSet() || f.Include.whole.MatchString(name)) &&
		(!f.Exclude.IsSet() || !f.Exclude.whole.MatchString(name))
}

// IsSet reports whether the filter can leave out anything.
func (f Filter) IsSet() bool { return f.Include.IsSet() || f.Exclude.IsSet() }

// Func returns Match, and nil if the filter lets everything through, for those who can
// do without asking.
func (f Filter) Func() func(name string) bool {
	if !f.IsSet() {
		return nil
	}
	return f.Match
}

// Repositories chooses among the names of repositories.
func (c *Config) Repositories() Filter { return Filter{c.RepositoriesInclude, c.RepositoriesExclude} }

// Tags chooses among the tags of images.
func (c *Config) Tags() Filter { return Filter{c.TagsInclude, c.TagsExclude} }

// Families chooses among the names of metric families.
func (c *Config) Families() Filter { return Filter{c.FamiliesInclude, c.FamiliesExclude} }
