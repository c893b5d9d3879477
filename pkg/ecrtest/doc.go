// Package ecrtest is an Amazon ECR API over real HTTP, with two operations of Amazon
// Inspector, one of Service Quotas, one of EC2 and two of AWS STS, for tests and local runs
// with the AWS SDK's own clients.
//
// A [Registry] is the data, which a test may change while clients read. Files named
// generate contain the generator: [Registry.Generate] fills a registry from a seed, and
// [Registry.Mutate] makes random changes. A [Server] (see [Start], and [StartPipe] for
// testing/synctest) serves registries and injects faults, latency and an IAM policy.
// An [Organisation] is the servers of many accounts and Regions, with roles to assume.
// Responses follow the AWS API references; nothing should depend on the text of errors.
package ecrtest
