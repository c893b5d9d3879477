// Package lambdatest is the Lambda Runtime API on this machine: it invokes a built
// bootstrap as Lambda does, as a process with the environment of an OS-only runtime,
// events over HTTP, and a deadline after which it is killed. Tests and local runs use it.
//
// It follows the pages runtimes-api, lambda-runtime-environment and configuration-envvars
// of the Lambda developer guide, without response streaming, extensions and concurrent
// invocations. It runs on Unix systems only, because it signals processes.
package lambdatest
