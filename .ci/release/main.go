// Command release makes the files of a release: the program for Lambda in a zip for each
// architecture, a list of what is in it (SBOM), the licences of that, a template that takes
// the zip from a bucket, one for the accounts of an organisation, the mixin, and checksums of all, signed if a key is given.
//
// The same commit, version and Go release give the same bytes, wherever they are built.
// That is tried each time: the program is built once more from a copy, without a cache.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
)

// name begins the names of all files of a release.
const name = "ecr-remote-write"

// goarch has Go's word for each architecture of Lambda.
var goarch = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// options are what a release is made of.
type options struct {
	source  string // the folder with go.mod
	output  string // an empty folder, or none
	version string
	key     string // a file with a private key in PEM; empty: unsigned
	// architectures are in Lambda's words.
	architectures []string
	again         bool // build a second time and compare
}

// versions are those that can be part of a file name and of a User-Agent.
var versions = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_-]*$`)

func main() {
	o := options{architectures: []string{"arm64", "x86_64"}}
	flag.StringVar(&o.source, "source", "../..", "the source, `DIR`")
	flag.StringVar(&o.output, "output", "", "an empty folder to write to, `DIR`")
	flag.StringVar(&o.version, "version", "", "the version")
	flag.StringVar(&o.key, "key", "", "the private key to sign with, Ed25519 or ECDSA in PEM, `FILE`")
	flag.BoolVar(&o.again, "again", true, "build each program a second time, elsewhere and without a cache, and compare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes a release and says on w what it does.
func run(ctx context.Context, o options, w io.Writer) error {
	if !versions.MatchString(o.version) {
		return fmt.Errorf("the version %q can be no part of a file name", o.version)
	}
	if entries, err := os.ReadDir(o.output); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", o.output)
	}
	// A key that cannot be used is reported before the minutes of building.
	sign, err := signer(o.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.output, 0o755); err != nil { //nolint:gosec // for everyone to read
		return err
	}
	scratch, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return err
	}
	r := &release{options: o, scratch: scratch, w: w}
	return errors.Join(r.all(ctx, sign), os.RemoveAll(scratch))
}

// release is one that is being made.
type release struct {
	options
	scratch string // a folder that is removed at the end
	w       io.Writer
	files   []string // written so far
}

func (r *release) all(ctx context.Context, sign func([]byte) ([]byte, error)) error {
	for _, part := range []func(context.Context) error{r.programs, r.template, r.mixin} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return r.checksums(sign)
}

// file returns the content of a file of the source.
func (r *release) file(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(r.source, filepath.FromSlash(name)))
}

// write adds a file to the release, whose name is name, the version and rest.
func (r *release) write(rest string, content []byte) error {
	file := name + "_" + r.version + rest
	if err := os.WriteFile(filepath.Join(r.output, file), content, 0o644); err != nil { //nolint:gosec // for everyone to read
		return err
	}
	r.files = append(r.files, file)
	fmt.Fprintf(r.w, "%9d bytes  %s\n", len(content), file)
	return nil
}

// programs writes the zip, the SBOM and once the licences of each architecture.
func (r *release) programs(ctx context.Context) error {
	modules, err := linked(ctx, r.source)
	if err != nil {
		return err
	}
	texts, err := licenceTexts(r.source, modules)
	if err != nil {
		return err
	}
	for _, architecture := range r.architectures {
		folder := filepath.Join(r.scratch, architecture)
		program, err := build(ctx, r.source, folder, r.version, architecture)
		if err != nil {
			return err
		}
		if r.again {
			if err := r.same(ctx, program, architecture); err != nil {
				return err
			}
		}
		zip, err := archive([]member{{"bootstrap", 0o755, program}, {"LICENSES.txt", 0o644, texts}})
		if err != nil {
			return err
		}
		if err := r.write("_"+architecture+".zip", zip); err != nil {
			return err
		}
		list, err := sbom(filepath.Join(folder, "bootstrap"), r.version, modules)
		if err != nil {
			return err
		}
		if err := r.write("_"+architecture+".cdx.json", list); err != nil {
			return err
		}
	}
	return r.write("_LICENSES.txt", texts)
}

func (r *release) template(context.Context) error {
	text, err := r.file("template.yaml")
	if err != nil {
		return err
	}
	packaged, err := packagedTemplate(string(text), r.version)
	if err != nil {
		return err
	}
	if err := r.write("_template.yaml", []byte(packaged)); err != nil {
		return err
	}
	member, err := r.file("deploy/member-role.yaml")
	if err != nil {
		return err
	}
	return r.write("_member-role.yaml", member)
}

func (r *release) mixin(context.Context) error {
	var members []member
	for _, pattern := range []string{"LICENSE", "mixin/dashboards/*.json", "mixin/rules/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(r.source, pattern))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("the source has no %s", pattern)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			inside, err := filepath.Rel(r.source, file)
			if err != nil {
				return err
			}
			members = append(members, member{name + "-" + filepath.ToSlash(inside), 0o644, content})
		}
	}
	zip, err := archive(members)
	if err != nil {
		return err
	}
	return r.write("_mixin.zip", zip)
}

// checksums writes SHA256SUMS, as sha256sum -c reads it, and its signature.
func (r *release) checksums(sign func([]byte) ([]byte, error)) error {
	var sums strings.Builder
	for _, file := range r.files {
		content, err := os.ReadFile(filepath.Join(r.output, file))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), file)
	}
	path := filepath.Join(r.output, "SHA256SUMS")
	if err := os.WriteFile(path, []byte(sums.String()), 0o644); err != nil { //nolint:gosec // for everyone to read
		return err
	}
	if sign == nil {
		fmt.Fprintln(r.w, "NOT SIGNED: no key was given (RELEASE_KEY)")
		return nil
	}
	signature, err := sign([]byte(sums.String()))
	if err != nil {
		return fmt.Errorf("signing SHA256SUMS: %w", err)
	}
	fmt.Fprintln(r.w, "signed: SHA256SUMS.sig")
	return os.WriteFile(path+".sig", signature, 0o644) //nolint:gosec // for everyone to read
}

// errDiffers says that two builds of one commit are not equal.
var errDiffers = errors.New("a second build from a copy of the source has other bytes")
