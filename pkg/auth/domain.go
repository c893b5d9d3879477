package auth

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// EndpointDomain returns the domain of a Region's endpoints, plain or dual-stack, such as
// amazonaws.com and api.aws; empty for what is no name of a Region. It is what the SDK's data
// about partitions say, which have no interface but the endpoint of a service.
func EndpointDomain(region string, dualStack bool) string {
	endpoint, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), sts.EndpointParameters{Region: &region, UseDualStack: &dualStack})
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(endpoint.URI.Hostname(), "sts."+region+".")
}
