// Command trivial is the least that a function can be: what BenchmarkInit measures
// this one against.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() { lambda.Start(func() error { return nil }) }
