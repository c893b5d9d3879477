//go:build !race

package inventory_test

const fewer = 1
