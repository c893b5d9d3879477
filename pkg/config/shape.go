package config

import (
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Regexp is the source text of a regular expression (RE2,
// https://github.com/google/re2/wiki/Syntax) that has to match a whole name.
type Regexp string

// UnmarshalText checks the expression. The error says what is wrong with it.
func (r *Regexp) UnmarshalText(text []byte) error {
	*r = Regexp(text)
	if _, err := (inventory.Filter{Include: string(text)}).Compile(); err != nil {
		return reason(err.Error())
	}
	return nil
}

// Shape returns the settings that decide which records have series and how these are
// labelled.
func (c *Config) Shape() inventory.Shape {
	shape := inventory.Shape{
		Families:       inventory.Filter{Include: string(c.FamiliesInclude), Exclude: string(c.FamiliesExclude)},
		Repositories:   inventory.Filter{Include: string(c.RepositoriesInclude), Exclude: string(c.RepositoriesExclude)},
		Tags:           inventory.Filter{Include: string(c.TagsInclude), Exclude: string(c.TagsExclude)},
		PushedWithin:   time.Duration(c.ImagesPushedWithin),
		PulledWithin:   time.Duration(c.ImagesPulledWithin),
		NewestImages:   c.ImagesPerRepository,
		UntaggedImages: c.UntaggedImagesPerRepository,
		UntaggedWithin: time.Duration(c.UntaggedImagesWithin),
		RepositoryTags: c.RepositoryTags,

		LifecyclePolicies: c.LifecyclePolicies, RegistryDetails: c.RegistryDetails,
		Durable: c.StateURL != (StateURL{}),
	}
	for _, label := range c.ExternalLabels {
		if shape.External == nil {
			shape.External = map[string]string{}
		}
		shape.External[label.Name] = label.Value
	}
	return shape
}
