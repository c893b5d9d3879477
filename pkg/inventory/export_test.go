package inventory

// DecodeWithin is Decode with a bound of the memory in bytes.
var DecodeWithin = decodeWithin
