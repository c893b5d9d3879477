// Package ecrtest is an Amazon ECR API over real HTTP, for tests and for local
// runs. The AWS SDK's own client runs against it, so what is tested is what goes
// over the wire: awsJson1.1 requests, pages with opaque tokens, modelled errors. The
// same server answers two operations of Amazon Inspector, in restJson1.
//
// A [Registry] is the data: repositories and images that a test puts, changes and
// deletes while clients read. [Registry.Generate] fills one of any size from a seed, and
// [Registry.Mutate] lets it age. Scans of images go through states as time passes, as
// [Registry.SetScan] says or as a generated registry makes them up; [Registry.Scan] tells
// which. The events that AWS would send are rendered by methods such as
// [Registry.PushEvent]. A [Server] shows registries to clients and is
// where trouble is asked for: throttling, faults, latency, an IAM policy.
//
//	reg := ecrtest.NewRegistry("123456789012", "eu-west-1")
//	srv := ecrtest.Start(t, reg)
//	client := ecr.New(ecr.Options{
//		BaseEndpoint: aws.String(srv.URL()),
//		HTTPClient:   srv.Client(),
//		…
//	})
//
// [StartPipe] serves over net.Pipe instead of a socket, so that a client can run
// inside a testing/synctest bubble, where latency costs no time.
//
// What the API answers follows the service model of the ECR API, version
// 2015-09-21, and its reference,
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/, and likewise that of
// Inspector, https://docs.aws.amazon.com/inspector/v2/APIReference/. The wording of
// errors follows what ECR is publicly known to send. Nothing should depend on it.
package ecrtest
