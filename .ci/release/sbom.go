package main

import (
	"bytes"
	"fmt"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

// sbom returns a CycloneDX list of the modules that a program was linked from, with their
// licences, as JSON. It has no time and no serial number, so that it is always the same.
func sbom(program, version string, modules []module) ([]byte, error) {
	generator, err := bin.NewGenerator(program, bin.WithLogger(zerolog.Nop()), bin.WithIncludeStdlib(true), bin.WithVersionOverride(version))
	if err != nil {
		return nil, fmt.Errorf("making the SBOM: %w", err)
	}
	list, err := generator.Generate()
	if err != nil {
		return nil, fmt.Errorf("making the SBOM: %w", err)
	}
	// The generator's own detector takes BSD-3-Clause for others, and downloads.
	identifiers := map[string]string{}
	for _, m := range modules {
		if identifiers[m.Path], err = m.licence(); err != nil {
			return nil, err
		}
	}
	for i, component := range *list.Components {
		identifier := identifiers[component.Name]
		if identifier == "" {
			return nil, fmt.Errorf("making the SBOM: %s is linked, and not among the modules", component.Name)
		}
		(*list.Components)[i].Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{ID: identifier}}}
	}
	var b bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(list); err != nil {
		return nil, fmt.Errorf("writing the SBOM: %w", err)
	}
	return b.Bytes(), nil
}
