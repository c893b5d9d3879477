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
	bytesPerSample = 1.5 // compressed, as AMP's pricing page assumes 1 to 2
	monthsKept     = 5   // its retention is 150 days unless it is set
)

// Bill prices a month's usage, AMP's part only if the samples go there.
func (p Prices) Bill(u Usage, amp bool) Bill {
	b := Bill{
		Lambda:  u.GBSeconds*p.LambdaTime + u.Invocations/1e6*p.LambdaRequests,
		S3:      u.Puts/1e3*p.Puts + u.Gets/1e3*p.Gets,
		SQS:     u.Messages / 1e6 * p.Messages,
		Metrics: u.Metrics * p.Metrics,
		Logs:    u.LogBytes / 1e9 * p.Logs,
	}
	if amp {
		b.Ingestion = p.ingestion(u.Samples)
		b.Storage = u.Samples * bytesPerSample * monthsKept / 1e9 * p.Storage
		b.Queries = u.QuerySamples / 1e9 * p.Queries
	}
	return b
}

// ingestion is the price of a month's samples.
func (p Prices) ingestion(samples float64) (dollars float64) {
	from := p.SamplesFree
	for _, tier := range p.Samples {
		to := samples
		if tier.UpTo > 0 {
			to = min(samples, tier.UpTo)
		}
		dollars += max(0, to-from) / 1e7 * tier.Price
		from = max(from, to)
	}
	return dollars
}
