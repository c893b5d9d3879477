package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
)

// objectStore is the part of S3 that pkg/state uses: objects in one bucket, with conditional
// reads and writes.
type objectStore struct{ objects map[string][]byte }

const (
	bucketName = "state"
	objectKey  = "inventory"
)

func etag(content []byte) string {
	sum := md5.Sum(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// serve handles a request for an object. The bucket is in the name of the host.
func (s *objectStore) serve(r *http.Request, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	key := strings.TrimPrefix(r.URL.Path, "/")
	have, exists := s.objects[key]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case !exists:
			return s3Error(http.StatusNotFound, "NoSuchKey")
		case r.Header.Get("If-None-Match") == etag(have):
			w.WriteHeader(http.StatusNotModified)
			return w
		}
		w.Header().Set("ETag", etag(have))
		w.Header().Set("Content-Length", fmt.Sprint(len(have)))
		if r.Method == http.MethodGet {
			w.Write(have)
		}
		return w
	case http.MethodPut:
		if refused := condition(r.Header.Get("If-Match"), r.Header.Get("If-None-Match"), have, exists); refused != nil {
			return refused
		}
		source := r.Header.Get("X-Amz-Copy-Source")
		if source == "" {
			s.objects[key] = body
			w.Header().Set("ETag", etag(body))
			return w
		}
		path, err := url.PathUnescape(source)
		from, found := s.objects[strings.TrimPrefix(strings.TrimPrefix(path, "/"), bucketName+"/")]
		if err != nil || !found {
			return s3Error(http.StatusNotFound, "NoSuchKey")
		}
		if refused := condition(r.Header.Get("X-Amz-Copy-Source-If-Match"), "", from, true); refused != nil {
			return refused
		}
		s.objects[key] = from
		fmt.Fprintf(w, "<CopyObjectResult><ETag>%s</ETag></CopyObjectResult>", etag(from))
		return w
	case http.MethodDelete:
		if refused := condition(r.Header.Get("If-Match"), "", have, exists); refused != nil {
			return refused
		}
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
		return w
	}
	return s3Error(http.StatusMethodNotAllowed, "MethodNotAllowed")
}

// condition checks the conditions of a write and returns the error, nil if they hold.
//
// See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func condition(match, noneMatch string, have []byte, exists bool) *httptest.ResponseRecorder {
	switch {
	case match != "" && !exists:
		return s3Error(http.StatusNotFound, "NoSuchKey")
	case match != "" && match != etag(have), noneMatch == "*" && exists:
		return s3Error(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	return nil
}

func s3Error(status int, code string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>simulated</Message></Error>`, code)
	return w
}
