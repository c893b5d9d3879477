//go:build race

package inventory_test

// fewer divides the seeds of tests that are one goroutine: the race detector makes them ten
// times as slow and finds nothing in them.
const fewer = 8
