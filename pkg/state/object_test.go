package state_test

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// Each kind of object is absent first, and then has what was written last.
func TestObject(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "plan")
	for name, object := range map[string]func(*testing.T) state.Object{
		"memory": func(*testing.T) state.Object { return &state.MemoryObject{} },
		"file":   func(*testing.T) state.Object { return state.NewFileObject(path) },
		"s3": func(t *testing.T) state.Object {
			b := newBucket(t)
			return state.NewS3Object(config(b.url), b.name, "stack/plan")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := object(t)
			if content, err := o.Read(t.Context()); content != nil || err != nil {
				t.Errorf("before the first write: %q, %v", content, err)
			}
			for _, content := range []string{"first", "", "third, which is longer"} {
				if err := o.Write(t.Context(), []byte(content)); err != nil {
					t.Fatal(err)
				}
				if got, err := o.Read(t.Context()); got == nil || string(got) != content || err != nil {
					t.Errorf("read %q, %v, want %q", got, err, content)
				}
			}
			large := bytes.Repeat([]byte("0"), state.MaxObject+1)
			if err := o.Write(t.Context(), large); err != nil {
				t.Fatal(err)
			}
			if _, err := o.Read(t.Context()); name != "memory" && (err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") || !strings.Contains(err.Error(), o.String())) {
				t.Errorf("one byte too large: %v", err)
			}
		})
	}
}

// What S3 refuses is an error that names the object and the permission.
func TestObjectDenied(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	b.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, http.StatusForbidden, "AccessDenied")
		return true
	})
	o := state.NewS3Object(config(b.url), b.name, "stack/plan")
	_, read := o.Read(t.Context())
	for action, err := range map[string]error{"s3:GetObject": read, "s3:PutObject": o.Write(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), action) || !strings.Contains(err.Error(), "s3://"+b.name+"/stack/plan") {
			t.Errorf("want the object and %s named: %v", action, err)
		}
	}
}

// A download that breaks off is tried again.
func TestObjectBrokenOff(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	b.put(t, "plan", []byte("whole"))
	broken := false
	b.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if broken {
			return false
		}
		broken = true
		w.Header().Set("Content-Length", "5")
		_, _ = w.Write([]byte("wh"))
		panic(http.ErrAbortHandler)
	})
	if got, err := state.NewS3Object(config(b.url), b.name, "plan").Read(context.Background()); string(got) != "whole" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}
