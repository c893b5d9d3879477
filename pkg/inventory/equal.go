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

// noPart are the types of fields that are no part of a record.
var noPart = map[reflect.Type]bool{
	reflect.TypeFor[Mark]():      true,
	reflect.TypeFor[[]ShapeID](): true,
	reflect.TypeFor[[]Image]():   true,
}

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			field := a.Field(i)
			if !noPart[field.Type()] && !sameValue(field, b.Field(i)) {
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
