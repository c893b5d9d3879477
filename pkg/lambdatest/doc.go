// Package lambdatest is the Lambda Runtime API on this machine, so that a built
// bootstrap can be invoked as Lambda invokes it: a process of its own, the
// environment variables of an OS-only runtime, events over HTTP, a deadline that
// kills. It needs no container and no testing.TB; tests and local runs use it alike.
//
// What it does rests on these pages of the Lambda developer guide:
//   - runtimes-api: the requests, their headers and their answers
//   - lambda-runtime-environment: init, invoke and shutdown, and what ends each
//   - configuration-envvars: which variables are set
//
// Left out: response streaming, extensions, and several invocations at once.
//
// It runs on Unix systems only, as it signals processes.
package lambdatest
