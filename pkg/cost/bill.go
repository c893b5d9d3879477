package cost

// Usage is what one month of 30 days uses, of what AWS bills.
type Usage struct {
	// Samples are those that AMP ingests, markers included, and QuerySamples those that the
	// function's own queries process.
	Samples, QuerySamples float64
	// Requests are those to the receiver, and Bytes their bodies after compression. Neither is
	// billed within a Region.
	Requests, Bytes float64
	// Invocations of the function, and GBSeconds of its memory.
	Invocations, GBSeconds float64
	// Puts and Gets are requests to S3.
	Puts, Gets float64
	// Messages are requests to SQS, most of them by Lambda that finds the queue empty.
	Messages float64
	// Metrics are custom metrics of CloudWatch, and LogBytes what its logs ingest.
	Metrics, LogBytes float64
}

// Bill is what a month costs, in US dollars.
type Bill struct {
	Ingestion, Storage, Queries float64 // AMP; 0 if the samples go elsewhere
	Lambda, S3, SQS             float64
	Metrics, Logs               float64 // CloudWatch
}

// Total is the sum of all.
func (b Bill) Total() float64 {
	return b.Ingestion + b.Storage + b.Queries + b.Lambda + b.S3 + b.SQS + b.Metrics + b.Logs
}

// What AMP stores, which no bill but AMP's own shows before a month is over: modelled.
const (
	bytesPerSample = 1.5 // compressed: a guess, as Prometheus needs 1 to 2 (https://prometheus.io/docs/prometheus/latest/storage/)
	monthsKept     = 5   // its retention is 150 days unless it is set
)

// Bill prices a month's usage, AMP's part only if the samples go there.
func (p Prices) Bill(u Usage, amp bool) Bill {
	of := p.Of
	b := Bill{
		Lambda:  u.GBSeconds*of["lambda_gb_second"] + u.Invocations/1e6*of["lambda_million_requests"],
		S3:      u.Puts/1e3*of["s3_thousand_puts"] + u.Gets/1e3*of["s3_thousand_gets"],
		SQS:     u.Messages / 1e6 * of["sqs_million_requests"],
		Metrics: u.Metrics * of["cloudwatch_metric"],
		Logs:    u.LogBytes / 1e9 * of["cloudwatch_gb_of_logs"],
	}
	if amp {
		const tier2, tier3 = 2e9, 252e9 // the free samples are of the first: https://aws.amazon.com/prometheus/pricing/
		between := func(from, to float64) float64 { return max(0, min(u.Samples, to)-from) / 1e7 }
		b.Ingestion = between(of["amp_free_samples_in_millions"]*1e6, tier2)*of["amp_10_million_samples"] +
			between(tier2, tier3)*of["amp_10_million_samples_beyond_2_billion"] +
			between(tier3, u.Samples)*of["amp_10_million_samples_beyond_252_billion"]
		b.Storage = u.Samples * bytesPerSample * monthsKept / 1e9 * of["amp_gb_month"]
		b.Queries = u.QuerySamples / 1e9 * of["amp_billion_query_samples"]
	}
	return b
}
