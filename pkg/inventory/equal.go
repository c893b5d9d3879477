package inventory

import (
	"bytes"
	"reflect"
)

// sameRecord reports whether two records hold the same values, whatever fields they
// have, so that a new field counts without being named here. What is no part of a
// record does not: its mark and shapes, and a repository's images, which are records of
// their own. It does not allocate.
func sameRecord[T Repository | Image](a, b *T) bool {
	return a == b || sameValue(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
}

// same reports whether two summaries hold the same values.
func same(a, b *Summary) bool { return sameValue(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()) }

// Equal reports whether two results of a scan hold the same values.
func (s *Scan) Equal(other *Scan) bool {
	return sameValue(reflect.ValueOf(s).Elem(), reflect.ValueOf(other).Elem())
}

// parts are the indexes of the fields that are part of a record, by the record's type.
var parts = map[reflect.Type][]int{
	reflect.TypeFor[Repository]():    partsOf(reflect.TypeFor[Repository]()),
	reflect.TypeFor[Image]():         partsOf(reflect.TypeFor[Image]()),
	reflect.TypeFor[Scan]():          partsOf(reflect.TypeFor[Scan]()),
	reflect.TypeFor[SeverityCount](): partsOf(reflect.TypeFor[SeverityCount]()),
	reflect.TypeFor[Index]():         partsOf(reflect.TypeFor[Index]()),
	reflect.TypeFor[Summary]():       partsOf(reflect.TypeFor[Summary]()),
	reflect.TypeFor[Total]():         partsOf(reflect.TypeFor[Total]()),
	reflect.TypeFor[Child]():         partsOf(reflect.TypeFor[Child]()),
}

func partsOf(record reflect.Type) (fields []int) {
	for i := range record.NumField() {
		switch record.Field(i).Type {
		case reflect.TypeFor[Mark](), reflect.TypeFor[[]ShapeID](), reflect.TypeFor[[]Image]():
		default:
			fields = append(fields, i)
		}
	}
	return fields
}

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Struct:
		fields, known := parts[a.Type()]
		if !known {
			fields = partsOf(a.Type())
		}
		for _, i := range fields {
			if !sameValue(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() || a.UnsafePointer() == b.UnsafePointer() {
			return a.UnsafePointer() == b.UnsafePointer()
		}
		return sameValue(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameValue(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Array: // a digest
		return bytes.Equal(a.Bytes(), b.Bytes())
	default:
		return a.Equal(b)
	}
}
