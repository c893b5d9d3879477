package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const source = "../.."

// native is Lambda's word for this machine's architecture, whose packages are built anyway.
func native() string {
	for architecture, word := range goarch {
		if word == runtime.GOARCH {
			return architecture
		}
	}
	return "arm64"
}

// made makes a release from a copy of the source in a folder of the given name, and returns
// the folder of the release and what was said. The second build inside is left out: this is
// that build.
func made(t *testing.T, folder, key string) (string, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), folder)
	if err := copySource(t.Context(), source, dir); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	output := filepath.Join(t.TempDir(), "release")
	o := options{source: dir, output: output, version: "v1.2.3", key: key, architectures: []string{native()}}
	if err := run(t.Context(), o, &said); err != nil {
		t.Fatal(err)
	}
	return output, said.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Two copies of the source at different places give the same bytes, signature included.
// What is signed can be verified as docs/releases.md says.
func TestRelease(t *testing.T) {
	keys := newKeys(t)
	one, _ := made(t, "one", keys["ed25519"])
	two, said := made(t, "another place", keys["ed25519"])
	if !strings.Contains(said, "signed: SHA256SUMS.sig") {
		t.Errorf("said %q", said)
	}
	var names []string
	entries, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	sums := read(t, filepath.Join(one, "SHA256SUMS"))
	for _, entry := range entries {
		names = append(names, entry.Name())
		text := read(t, filepath.Join(one, entry.Name()))
		if text != read(t, filepath.Join(two, entry.Name())) {
			t.Errorf("%s differs between two places", entry.Name())
		}
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(text)), entry.Name()); !strings.HasPrefix(entry.Name(), "SHA256SUMS") && !strings.Contains(sums, line) {
			t.Errorf("SHA256SUMS is without %s", line)
		}
	}
	files := "ecr-remote-write_v1.2.3_"
	code := files + native()
	want := []string{
		"SHA256SUMS", "SHA256SUMS.sig", code + ".cdx.json", code + ".zip",
		files + "LICENSES.txt", files + "member-role.yaml", files + "mixin.zip", files + "template.yaml",
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the release has\n%q, want\n%q", names, want)
	}
	verify(t, keys["ed25519"], filepath.Join(one, "SHA256SUMS"))
	t.Run("zip", func(t *testing.T) { checkZip(t, filepath.Join(one, code+".zip")) })
	t.Run("SBOM", func(t *testing.T) { checkSBOM(t, filepath.Join(one, code+".cdx.json")) })
	t.Run("template", func(t *testing.T) { checkTemplate(t, filepath.Join(one, files+"template.yaml")) })
}

// The zip has a program that runs and knows its version, and the licences.
func checkZip(t *testing.T, file string) {
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.File) != 2 || r.File[0].Name != "bootstrap" || r.File[0].Mode() != 0o755 || r.File[1].Name != "LICENSES.txt" {
		t.Fatalf("the zip has %v", r.File)
	}
	f, err := r.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(program, content, 0o700); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" || goarch[native()] != runtime.GOARCH {
		t.Skip("the program is not one for this machine")
	}
	out, err := exec.CommandContext(t.Context(), program, "-version").Output()
	if err != nil || !strings.Contains(string(out), "v1.2.3") {
		t.Errorf("-version printed %q, %v", out, err)
	}
}

// The SBOM has every module that is linked, and the licence of each.
func checkSBOM(t *testing.T, file string) {
	var list struct {
		BOMFormat  string
		Metadata   struct{ Component struct{ Version string } }
		Components []struct {
			Name, Version, Purl string
			Licenses            []struct{ License struct{ ID string } }
		}
	}
	if err := json.Unmarshal([]byte(read(t, file)), &list); err != nil {
		t.Fatal(err)
	}
	if list.BOMFormat != "CycloneDX" || list.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("got %q of version %q", list.BOMFormat, list.Metadata.Component.Version)
	}
	found := map[string]bool{}
	for _, component := range list.Components {
		found[component.Name+" "+component.Version] = true
		if len(component.Licenses) != 1 || component.Licenses[0].License.ID == "" {
			t.Errorf("%s has no licence", component.Name)
		}
	}
	modules, err := linked(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules[1:] {
		if !found[m.Path+" "+m.Version] {
			t.Errorf("%s %s is not in the SBOM", m.Path, m.Version)
		}
	}
	if !found["std "+runtime.Version()] && !found["std "+strings.TrimPrefix(runtime.Version(), "go")] {
		t.Errorf("the standard library is not in the SBOM")
	}
}

// The template takes the zip of the version from a bucket, needs nothing of the source, and
// is one that CloudFormation's rules accept.
func checkTemplate(t *testing.T, file string) {
	text := read(t, file)
	if key := "${CodePrefix}ecr-remote-write_v1.2.3_${Architecture}.zip"; strings.Count(text, key) != 1 {
		t.Errorf("the template does not take %s", key)
	}
	for _, none := range []string{"CodeUri: .\n", "BuildMethod", "ServerlessRepo", "README.md"} {
		if strings.Contains(text, none) {
			t.Errorf("the template has %q", none)
		}
	}
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("not linted: there is no cfn-lint (make test has it after make check)")
	}
	if out, err := exec.CommandContext(t.Context(), lint, file).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// A template that the edits do not fit any more is no release.
func TestTemplateEdits(t *testing.T) {
	t.Parallel()
	text := read(t, source+"/template.yaml")
	for _, edit := range edits {
		if _, err := packagedTemplate(strings.Replace(text, edit.before, "", 1), "v1"); err == nil || !strings.Contains(err.Error(), edit.what) {
			t.Errorf("without %q: %v", edit.before, err)
		}
	}
	if _, err := packagedTemplate(strings.Replace(text, repository, "", 1), "v1"); err == nil {
		t.Errorf("no error without %q", repository)
	}
}

// What cannot be a release is refused before anything is built.
func TestRefused(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]options{
		"no version":        {output: t.TempDir()},
		"a path":            {output: t.TempDir(), version: "../v1"},
		"a linker flag":     {output: t.TempDir(), version: "v1 -X main.other=1"},
		"a full folder":     {output: full, version: "v1"},
		"no such key":       {output: t.TempDir(), version: "v1", key: full + "/none"},
		"a key that is not": {output: t.TempDir(), version: "v1", key: "main.go"},
	} {
		o.source = "/nowhere"
		if err := run(t.Context(), o, io.Discard); err == nil || strings.Contains(err.Error(), "/nowhere") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
