package main

import "testing"

func TestByteSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB", 4.3e9: "4.3 GB", 5e18: "5000 PB"} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%g) = %q, want %q", n, got, want)
		}
	}
}
