package config

import "regexp"

// Regexp is the source text of a regular expression (RE2,
// https://github.com/google/re2/wiki/Syntax) that has to match a whole name.
type Regexp string

// UnmarshalText checks the expression. The error says what is wrong with it.
func (r *Regexp) UnmarshalText(text []byte) error {
	*r = Regexp(text)
	// Alone too: "a)|(b" is no expression, but would be within the parentheses.
	for _, expression := range []string{string(text), whole(string(text))} {
		if _, err := regexp.Compile(expression); err != nil {
			return reason(err.Error())
		}
	}
	return nil
}

func whole(expression string) string { return `\A(?:` + expression + `)\z` }

// Filter chooses names by the source text of two valid expressions: a name is chosen if
// it matches Include, and not Exclude. An empty Include matches every name, an empty
// Exclude none.
type Filter struct{ Include, Exclude string }

// Func returns the choice, nil if every name is chosen.
func (f Filter) Func() func(name string) bool {
	if f == (Filter{}) {
		return nil
	}
	include, exclude := regexp.MustCompile(whole(f.Include)), regexp.MustCompile(whole(f.Exclude))
	return func(name string) bool {
		return (f.Include == "" || include.MatchString(name)) && (f.Exclude == "" || !exclude.MatchString(name))
	}
}

// Repositories chooses among the names of repositories.
func (c *Config) Repositories() Filter {
	return Filter{string(c.RepositoriesInclude), string(c.RepositoriesExclude)}
}

// Tags chooses among the tags of images.
func (c *Config) Tags() Filter { return Filter{string(c.TagsInclude), string(c.TagsExclude)} }

// Families chooses among the names of metric families.
func (c *Config) Families() Filter {
	return Filter{string(c.FamiliesInclude), string(c.FamiliesExclude)}
}
