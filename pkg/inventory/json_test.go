package inventory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	const want = `{"record":"registry","id":"123456789012","listed_at":"2023-11-14T22:13:20.123Z","pushed_at":"2023-11-14T22:13:20.124Z","scan_source":"inspector","scans_listed_at":"1970-01-01T00:00:00.001Z","scans_pending":2,"scans_oldest":"1970-01-01T00:00:00.003Z","succeeded_at":"1970-01-01T00:00:00.006Z","protocols":{"https://example.com/write":"2.0"},"repositories":3,"ended":2}
{"record":"repository","name":"empty","images":0}
{"record":"repository","name":"team/app","arn":"arn:aws:ecr:eu-west-1:123456789012:repository/team/app","uri":"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app","registry_id":"123456789012","created_at":"1970-01-01T00:00:00.001Z","tag_mutability":"MUTABLE","encryption_type":"KMS","kms_key":"arn:key","scan_on_push":false,"images_read_at":"1970-01-01T00:00:00.002Z","tried_at":"1970-01-01T00:00:00.003Z","scans_due_since":"1970-01-01T00:00:00.004Z","due":true,"denied":true,"unsent":true,"hidden":true,"images":3}
{"record":"image","repository":"team/app","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","tags":[],"size_bytes":null}
{"record":"image","repository":"team/app","digest":"sha256:0100000000000000000000000000000000000000000000000000000000000000","tags":["latest","v1"],"size_bytes":1099511627776,"pushed_at":"1970-01-01T00:00:00.004Z","pulled_at":"1970-01-01T00:00:00.005Z","media_type":"m","artifact_type":"a","status":"ARCHIVED","scan":{"status":"COMPLETE","completed_at":"1970-01-01T00:00:00.006Z","asked_at":"1970-01-01T00:00:00.007Z","severities":{"HIGH":7,"LOW":0},"unfinished":1,"partial":true,"total":8,"in_use_count":9,"last_in_use_at":"1970-01-01T00:00:00.01Z"},"hidden":true}
{"record":"image","repository":"team/app","digest":"sha256:0200000000000000000000000000000000000000000000000000000000000000","tags":[],"size_bytes":0,"scan":{"severities":{}}}
{"record":"repository","name":"z","scan_on_push":true,"images":0}
{"record":"repository","name":"a","images":1,"ended":true}
{"record":"image","repository":"a","digest":"sha256:0900000000000000000000000000000000000000000000000000000000000000","tags":["v1"],"size_bytes":0,"ended":true}
{"record":"repository","name":"a","uri":"x","images":0,"ended":true}
`
	var out bytes.Buffer
	if err := inventory.WriteJSON(t.Context(), &out, sample()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.SplitAfter(want, "\n"), strings.SplitAfter(out.String(), "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
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
