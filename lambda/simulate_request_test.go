package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"
)

// The hosts of the simulated services, and the services by name.
const (
	hostAWS      = "aws.invalid"
	hostS3       = "s3.invalid"
	hostReceiver = "receiver.invalid"

	serviceECR      = "AWS" // ECR and Inspector
	serviceS3       = "S3"
	serviceReceiver = "receiver"
)

// request is one request of the function.
type request struct {
	*http.Request
	body       []byte
	service    string
	operation  string
	repository string // that it is about; empty if none
	n          int    // of the service in this invocation, from 1
	fault      string
	held       time.Duration // how long it was held back
	id         []any         // for simulation.chance
}

// errNetwork is a connection that failed.
var errNetwork = errors.New("simulated network error")

// readRequest reads a request of the function and finds out what it is.
func readRequest(r *http.Request) (*request, error) {
	req := &request{Request: r}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		req.body = body
	}
	req.identify()
	return req, nil
}

// identify finds out what a request is.
func (r *request) identify() {
	switch {
	case r.URL.Host == hostReceiver:
		r.service, r.operation = serviceReceiver, "write"
	case r.URL.Host == bucketName+"."+hostS3:
		r.service, r.operation = serviceS3, r.Method+" "+r.URL.Path
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			r.operation = "COPY " + r.URL.Path
		}
	default:
		r.service = serviceECR
		_, r.operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch r.URL.Path {
		case "/findings/aggregation/list":
			r.operation = "ListFindingAggregations"
		case "/coverage/list":
			r.operation = "ListCoverage"
		}
		if form, err := url.ParseQuery(string(r.body)); r.operation == "" && err == nil {
			r.operation = form.Get("Action") // of STS
		}
		r.repository = repositoryOf(r.body)
	}
}

// answered is a response from a recorder, or the broken connection of a handler that
// aborted.
func answered(handler http.Handler, req *request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // documented as the value of the panic
				panic(p)
			}
			resp, err = nil, errNetwork
		}
	}()
	w := httptest.NewRecorder()
	r := req.Clone(context.Background()) // a handler that has a request completes
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(req.body)), int64(len(req.body))
	handler.ServeHTTP(w, r)
	return w.Result(), nil
}
