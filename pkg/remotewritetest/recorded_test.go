package remotewritetest_test

import (
	"strings"
	"testing"

	"github.com/golang/snappy"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestRecordings: each is answered as it stands, to either protocol, and stores
// nothing by itself.
func TestRecordings(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, r := range remotewritetest.Recordings() {
		t.Run(r.Name, func(t *testing.T) {
			if receiver, occasion, _ := strings.Cut(r.Name, ": "); receiver == "" || occasion == "" || seen[r.Name] {
				t.Error("the name is not one of its own")
			}
			seen[r.Name] = true
			if r.Source == "" {
				t.Error("no source")
			}
			to := remotewritetest.NewServer(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Recorded(r.Name), r.Answer)

			status, text, written := exchange(t, to, newRequest(t, to, snappy.Encode(nil, marshal(t, oneSeries(up(1))))))
			if status != r.Status || text != strings.TrimSpace(r.Body) || len(to.All()) != 0 {
				t.Errorf("HTTP %d %q, want %d %q; stored %v", status, text, r.Status, r.Body, to.All())
			}
			if _, ok := r.Header[remotewritetest.SamplesWritten]; ok != (len(written) == 3) {
				t.Errorf("Written headers %q", written)
			}
			resp, err := to.Transport.RoundTrip(newRequestV2(t, to, marshalV2(t, upV2(1))))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			for name := range r.Header {
				if got := resp.Header.Get(name); got != r.Header.Get(name) {
					t.Errorf("header %s: %q, want %q", name, got, r.Header.Get(name))
				}
			}
			if resp.StatusCode != r.Status || len(to.All()) != 0 {
				t.Errorf("HTTP %d, stored %v", resp.StatusCode, to.All())
			}
		})
	}
	defer func() {
		if recover() == nil {
			t.Error("a recording that does not exist")
		}
	}()
	remotewritetest.Recorded("nobody: nothing")
}
