package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is one that is linked into the program, with where its files are.
type module struct{ Path, Version, Dir string }

// linked returns the modules that the program for any architecture is linked from, by path,
// the standard library first.
func linked(ctx context.Context, source string) ([]module, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for GOROOT: %w", err)
	}
	all := map[module]bool{}
	for architecture := range goarch {
		cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-tags", tags, "-json=Module", "./lambda")
		cmd.Dir, cmd.Env = source, environ(architecture)
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("listing the modules for %s: %w", architecture, err)
		}
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				Module *struct {
					module
					Main bool
				}
			}
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("listing the modules for %s: %w", architecture, err)
			}
			if p.Module != nil && !p.Module.Main {
				all[p.Module.module] = true
			}
		}
	}
	modules := make([]module, 0, len(all)+1)
	for m := range all {
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	std := module{"std", runtime.Version(), strings.TrimSpace(string(root))}
	return append([]module{std}, modules...), nil
}

// licenceFiles are the files of a module that have to go with the program.
var licenceFiles = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.(txt|md))?$`)

// texts returns those files by name.
func (m module) texts() (map[string]string, error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the licence of %s: %w", m.Path, err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		if entry.IsDir() || !licenceFiles.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		found[entry.Name()] = strings.TrimSpace(string(text))
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s %s has no file with its licence in %s", m.Path, m.Version, m.Dir)
	}
	return found, nil
}

// phrases tell the licences apart that may be linked: all of them ask for their text and
// the copyright, and for no more. The first whose phrases are all there counts.
var phrases = []struct {
	id  string // of SPDX
	all []string
}{
	{"Apache-2.0", []string{"Apache License Version 2.0, January 2004"}},
	{"MIT", []string{"Permission is hereby granted, free of charge", "to deal in the Software without restriction"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "Neither the name of"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose"}},
}

// licence returns the SPDX identifier of a module's licence. One that is not among the
// known ones, or may be another's too, is an error: a person has to look.
func (m module) licence() (string, error) {
	texts, err := m.texts()
	if err != nil {
		return "", err
	}
	found := ""
	for file, text := range texts {
		text = strings.Join(strings.Fields(text), " ")
		for _, known := range phrases {
			if !strings.Contains(text, known.all[0]) || !strings.Contains(text, known.all[len(known.all)-1]) {
				continue
			}
			if found != "" && found != known.id && !(found == "BSD-3-Clause" && known.id == "BSD-2-Clause") {
				return "", fmt.Errorf("%s %s: %s may be %s or %s", m.Path, m.Version, file, found, known.id)
			}
			found = cmp.Or(found, known.id)
		}
	}
	if found == "" {
		return "", fmt.Errorf("%s %s has an unknown licence: add it to phrases if it asks for no more than those", m.Path, m.Version)
	}
	return found, nil
}

// licenceTexts returns the licence of this program and those of the modules in one text.
func licenceTexts(source string, modules []module) ([]byte, error) {
	var b bytes.Buffer
	for _, m := range append([]module{{name, "", source}}, modules...) {
		texts, err := m.texts()
		if err != nil {
			return nil, err
		}
		for _, file := range slices.Sorted(maps.Keys(texts)) {
			title := strings.TrimSpace(m.Path + " " + m.Version)
			fmt.Fprintf(&b, "%s\n%s: %s\n\n%s\n\n", strings.Repeat("=", 80), title, file, texts[file])
		}
	}
	return b.Bytes(), nil
}
