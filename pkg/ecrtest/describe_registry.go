package ecrtest

type describeRegistryInput struct{}

type describeRegistryOutput struct {
	RegistryID  string          `json:"registryId"`
	Replication wireReplication `json:"replicationConfiguration"`
}

type wireReplication struct {
	Rules []wireReplicationRule `json:"rules"`
}

type wireReplicationRule struct {
	Destinations []wireDestination `json:"destinations"`
	Filters      []wirePrefix      `json:"repositoryFilters,omitempty"`
}

type wireDestination struct {
	Region     string `json:"region"`
	RegistryID string `json:"registryId"`
}

type wirePrefix struct {
	Filter string `json:"filter"`
	Type   string `json:"filterType"`
}

// describeRegistry handles DescribeRegistry, which has no registryId and is authorised on "*".
// Nothing is replicated: the rules are only listed.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRegistry.html
func describeRegistry(c *call, _ *describeRegistryInput) (any, error) {
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	reg := c.server.registry
	reg.mu.RLock()
	rules := reg.replication
	reg.mu.RUnlock()
	out := &describeRegistryOutput{RegistryID: reg.id, Replication: wireReplication{Rules: []wireReplicationRule{}}}
	for _, rule := range rules {
		wire := wireReplicationRule{Destinations: []wireDestination{}}
		for _, destination := range rule.Destinations {
			wire.Destinations = append(wire.Destinations, wireDestination(destination))
		}
		for _, prefix := range rule.Prefixes {
			wire.Filters = append(wire.Filters, wirePrefix{prefix, "PREFIX_MATCH"})
		}
		out.Replication.Rules = append(out.Replication.Rules, wire)
	}
	return out, nil
}
