package ecrtest

type describeRegistryInput struct{}

type describeRegistryOutput struct {
	RegistryID  string          `json:"registryId"`
	Replication wireReplication `json:"replicationConfiguration"`
}

type wireReplication struct {
	Rules []struct{} `json:"rules"`
}

// describeRegistry handles DescribeRegistry, which has no registryId and is
// authorised on "*". The simulated registry does not replicate.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRegistry.html
func describeRegistry(c *call, _ *describeRegistryInput) (any, error) {
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	return &describeRegistryOutput{RegistryID: c.server.registry.id, Replication: wireReplication{Rules: []struct{}{}}}, nil
}
