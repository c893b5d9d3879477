package config

import "strings"

// IdleImages says whether images that are idle have series.
type IdleImages string

// The values of IDLE_IMAGES.
const (
	IdlePush  IdleImages = "push"
	IdleNever IdleImages = "never"
)

// Where AMP takes samples and answers queries, below a workspace's URL:
// https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-Prometheus-Compatible-Apis.html
const (
	writePath = "/api/v1/remote_write"
	queryPath = "/api/v1/query"
)

// resolveInUse decides where the store is asked what runs; QueryURL stays empty if nobody asks.
func (c *Config) resolveInUse(vars map[string]string, amp bool, use Use, faults *Faults) {
	if c.QueryURL.User != nil {
		faults.note(vars, "QUERY_URL", rule("QueryURL"))
	}
	if c.IdleImages != IdleNever || faults.has("REMOTE_WRITE_URL") {
		return
	}
	path, ours := strings.CutSuffix(c.RemoteWriteURL.Path, writePath)
	switch {
	case vars["QUERY_URL"] != "":
	case amp && ours:
		c.QueryURL = c.RemoteWriteURL
		c.QueryURL.Path, c.QueryURL.RawPath = path+queryPath, ""
	case use == ToSend:
		faults.note(vars, "QUERY_URL", "required where IDLE_IMAGES is never and the endpoint is no AMP workspace: "+rule("QueryURL"))
	}
}
