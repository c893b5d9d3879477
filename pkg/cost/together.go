package cost

import "time"

// What planning takes: modelled.
const (
	planned  = time.Minute     // between two plans
	planning = 2 * time.Second // of one
)

// Together returns what a month of many registries uses that one function reads, each of which is
// OneOfMany: every minute is planned.
func (e *Estimator) Together(registries []Usage) Usage {
	plans := Month.Seconds() / planned.Seconds()
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
		all.Messages += u.Messages
		all.LogBytes += u.LogBytes
	}
	return all
}
