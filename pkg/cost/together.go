package cost

import "time"

// What planning takes: modelled.
const (
	planned  = time.Minute     // between two plans
	planning = 2 * time.Second // of one
	batched  = 10              // messages a request, sending
	received = 2               // requests a message, receiving and deleting it
)

// Together returns what a month of many registries uses that one function reads: every minute is
// planned, and each run is a message of a queue.
func (e *Estimator) Together(registries []Usage) Usage {
	polls, plans := pollers*Month.Seconds()/20, Month.Seconds()/planned.Seconds()
	all := Usage{
		Messages: polls + plans, Invocations: plans, Metrics: float64(e.Metrics), LogBytes: plans * logOfRun,
		GBSeconds: plans * planning.Seconds() * float64(e.Memory) / 1024, Gets: plans,
	}
	for _, u := range registries {
		all.Samples += u.Samples
		all.QuerySamples += u.QuerySamples
		all.Requests += u.Requests
		all.Bytes += u.Bytes
		all.Invocations += u.Invocations
		all.GBSeconds += u.GBSeconds
		all.Puts += u.Puts
		all.Gets += u.Gets
		all.Messages += u.Messages - polls + u.Invocations*(received+1./batched)
		all.LogBytes += u.LogBytes
	}
	return all
}
