package inventory_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const statesFolder = "testdata/states"

// keptState is a state that an earlier program wrote: see the README of its folder.
type keptState struct {
	folder         string
	version        uint64 // of the format
	whole, changes []byte // changes are nil if there are none
}

func keptStates(t *testing.T) []keptState {
	t.Helper()
	files, err := filepath.Glob(statesFolder + "/*/inventory")
	if err != nil || len(files) == 0 {
		t.Fatalf("no kept states: %v", err)
	}
	var all []keptState
	for _, file := range files {
		state := keptState{folder: filepath.Dir(file)}
		if state.whole, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if state.changes, err = os.ReadFile(file + ".changes"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		state.version = versionOf(t, state.whole)
		all = append(all, state)
	}
	return all
}

// read is a cold start from the state.
func (s keptState) read(t *testing.T) *inventory.Registry {
	t.Helper()
	registry := decode(t, s.whole)
	if s.changes != nil {
		if err := inventory.DecodeChanges(bytes.NewReader(s.changes), registry); err != nil {
			t.Fatalf("%s: %v", s.folder, err)
		}
	}
	return registry
}

// itemsOf are the items of a stored form, as they are without our types.
func itemsOf(t *testing.T, stored []byte) []any {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		t.Fatal(err)
	}
	decoder := cbor.NewDecoder(zip)
	var items []any
	for {
		var item any
		switch err := decoder.Decode(&item); {
		case errors.Is(err, io.EOF):
			return items
		case err != nil:
			t.Fatal(err)
		}
		items = append(items, item)
	}
}

// versionOf is the version of a stored form.
func versionOf(t *testing.T, stored []byte) uint64 {
	t.Helper()
	header, _ := itemsOf(t, stored)[0].(map[any]any)
	version, ok := header[uint64(2)].(uint64)
	if !ok {
		t.Fatalf("the header %v has no version", header)
	}
	return version
}

// What every kept state holds is read as it always was.
func TestGoldenStates(t *testing.T) {
	t.Parallel()
	if *update {
		keepEveryField(t)
	}
	for _, state := range keptStates(t) {
		registry := state.read(t)
		var records bytes.Buffer
		if err := inventory.WriteJSON(t.Context(), &records, registry); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&records, "%+v %q\n", registry.Removed, registry.Whole) // which the dump leaves out
		file := filepath.Join(state.folder, "records.jsonl")
		if *update {
			if err := os.WriteFile(file, records.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.SplitAfter(string(want), "\n"), strings.SplitAfter(records.String(), "\n")); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", state.folder, diff)
		}
	}
}

// What was read of a state of the present version is written as it was: a change of that is a
// change of the format, which needs another version. The kept state stays.
func TestStatesAreWrittenAgain(t *testing.T) {
	t.Parallel()
	present := versionOf(t, encode(t, &inventory.Registry{}))
	n := 0
	for _, state := range keptStates(t) {
		if state.version != present {
			continue
		}
		n++
		if diff := cmp.Diff(itemsOf(t, state.whole), itemsOf(t, encode(t, decode(t, state.whole)))); diff != "" {
			t.Errorf("%s: the whole, written again (-want +got):\n%s", state.folder, diff)
		}
		if state.changes == nil {
			continue
		}
		if diff := cmp.Diff(itemsOf(t, state.changes), itemsOf(t, encodeChanges(t, state.read(t)))); diff != "" {
			t.Errorf("%s: the changes, written again (-want +got):\n%s", state.folder, diff)
		}
	}
	if n == 0 {
		t.Errorf("no state of version %d is kept: -update keeps one with every field, and the README says how to keep one of a program", present)
	}
}

// Every stored field is set in a kept state of the present version.
func TestEveryFieldIsKept(t *testing.T) {
	t.Parallel()
	if missing := fieldsNotKept(t); len(missing) > 0 {
		t.Errorf("fields that no kept state of this version has, which -update adds: %v", slices.Sorted(maps.Keys(missing)))
	}
}

func fieldsNotKept(t *testing.T) map[string]bool {
	t.Helper()
	present := versionOf(t, encode(t, &inventory.Registry{}))
	missing := map[string]bool{}
	storedFields(reflect.TypeFor[inventory.Registry](), missing, map[reflect.Type]bool{})
	for _, state := range keptStates(t) {
		if state.version == present {
			setFields(reflect.ValueOf(state.read(t)), missing)
		}
	}
	return missing
}

// keepEveryField keeps a further state, with every field, if the kept ones have not all.
func keepEveryField(t *testing.T) {
	t.Helper()
	missing := fieldsNotKept(t)
	if len(missing) == 0 {
		return
	}
	r := sample()
	if setFields(reflect.ValueOf(r), missing); len(missing) > 0 {
		t.Fatalf("fields that sample has not: %v", slices.Sorted(maps.Keys(missing)))
	}
	whole := encode(t, r)
	r.SetImages(r.Find("team/app"), r.Find("team/app").Images[1:], 9)
	r.Remove("z")
	folder := ""
	for n := 1; folder == "" || exists(folder); n++ {
		folder = fmt.Sprintf("%s/%d-fields-%d", statesFolder, versionOf(t, whole), n)
	}
	if err := errors.Join(os.MkdirAll(folder, 0o750), os.WriteFile(folder+"/inventory", whole, 0o600), os.WriteFile(folder+"/inventory.changes", encodeChanges(t, r), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// storedFields adds the names of all stored fields of a type and the types below it.
func storedFields(record reflect.Type, names map[string]bool, known map[reflect.Type]bool) {
	switch record.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		storedFields(record.Elem(), names, known)
	case reflect.Struct:
		if known[record] {
			return
		}
		known[record] = true
		for i := range record.NumField() {
			field := record.Field(i)
			if strings.Contains(field.Tag.Get("cbor"), "keyasint") {
				names[record.Name()+"."+field.Name] = true
			}
			storedFields(field.Type, names, known)
		}
	}
}

// setFields removes the names of those stored fields that are set.
func setFields(value reflect.Value, names map[string]bool) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			setFields(value.Elem(), names)
		}
	case reflect.Slice:
		for i := range value.Len() {
			setFields(value.Index(i), names)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			setFields(value.MapIndex(key), names)
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if !value.Field(i).IsZero() {
				delete(names, value.Type().Name()+"."+value.Type().Field(i).Name)
			}
			setFields(value.Field(i), names)
		}
	}
}
