package ecrtest

import (
	"encoding/xml"
	"strings"
)

// SetCaller sets the ARN of who calls, as GetCallerIdentity returns it. By default it is a
// session of the role "ecr-remote-write" in the account of the server's registry. The
// server does not derive it from credentials.
func (s *Server) SetCaller(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caller = arn
}

type getCallerIdentityOutput struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Arn     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
}

// getCallerIdentity handles GetCallerIdentity of AWS STS. No policy can deny it.
// See https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func getCallerIdentity(c *call, _ []byte) (any, error) {
	if c.caller != nil {
		return &getCallerIdentityOutput{Arn: c.caller.arn, UserID: c.caller.userID, Account: c.caller.account}, nil
	}
	out := &getCallerIdentityOutput{Arn: c.user(), UserID: "AIDAEXAMPLE", Account: c.server.registry.id}
	if fields := strings.SplitN(out.Arn, ":", 6); len(fields) == 6 {
		out.Account = fields[4]
		if path := strings.Split(fields[5], "/"); path[0] == "assumed-role" {
			out.UserID = "AROAEXAMPLE:" + path[len(path)-1]
		}
	}
	return out, nil
}
