package inventory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGoldenDump(t *testing.T) {
	t.Parallel()
	const file = "testdata/dump.jsonl"
	var out bytes.Buffer
	if err := inventory.WriteJSON(t.Context(), &out, sample()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.SplitAfter(string(want), "\n"), strings.SplitAfter(out.String(), "\n")); diff != "" {
		t.Errorf("lines (-want +got); -update writes them anew:\n%s", diff)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

// Every stored field is in the dump, by its tag.
func TestEveryFieldIsDumped(t *testing.T) {
	t.Parallel()
	for _, record := range []reflect.Type{reflect.TypeFor[inventory.Registry](), reflect.TypeFor[inventory.Repository](), reflect.TypeFor[inventory.Image](), reflect.TypeFor[inventory.Scan](), reflect.TypeFor[inventory.Shape](), reflect.TypeFor[inventory.Mark](), reflect.TypeFor[inventory.Index](), reflect.TypeFor[inventory.Child](), reflect.TypeFor[inventory.PlatformFindings]()} {
		for i := range record.NumField() {
			field := record.Field(i)
			stored, dumped := field.Tag.Get("cbor"), field.Tag.Get("json")
			internal := record.Name() == "Registry" && (field.Name == "Removed" || field.Name == "Whole") // for Merge and the store only
			if field.IsExported() && !field.Anonymous && !internal && (stored == "" || stored != "-" && (dumped == "" || dumped == "-")) {
				t.Errorf("%s.%s is stored as %q and dumped as %q", record.Name(), field.Name, stored, dumped)
			}
		}
	}
}

func TestWriteJSONFaults(t *testing.T) {
	t.Parallel()
	if err := inventory.WriteJSON(t.Context(), failingWriter{}, sample()); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inventory.WriteJSON(interrupted, io.Discard, sample()); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
}
