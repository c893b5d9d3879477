package config_test

import (
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// Any environment gives a configuration or faults, never both and never neither, and
// what is accepted is within its rules.
func FuzzLoad(f *testing.F) {
	f.Add("https://host/", "30s", "a=b", "file:///x", "1", "", "", "", "")
	f.Add("https://host/", "0", "a=b", "s3://bucket/key", "1", "ssm:/a", "X-A=b", "a.*", "rate(2 minutes)")
	f.Add("https://me@host/", "1d12h", "a=b", "memory:", "1", "secretsmanager:arn:aws:secretsmanager:eu-west-1:111122223333:secret:x#k", "X-A=ssm:b,X-B=c", "(?i)a|b", "rate(1 day)")
	f.Add("https://me:pw@host/", "1.5d", "a=b", "memory:", "1", "file:/x", "Host=x", "a)|(b", "90s")
	f.Fuzz(func(t *testing.T, url, duration, labels, state, n, secret, headers, expression, schedule string) {
		c, err := config.Load([]string{
			"REMOTE_WRITE_URL=" + url, "REFRESH_BUDGET=" + duration, "EXTERNAL_LABELS=" + labels, "STATE_URL=" + state, "ECR_REQUESTS_PER_SECOND=" + n,
			"REMOTE_WRITE_PASSWORD=" + secret, "REMOTE_WRITE_HEADERS=" + headers, "REPOSITORIES_INCLUDE=" + expression, "IMAGES_PUSHED_WITHIN=" + duration, "SCHEDULE=" + schedule,
		}, config.ToSend)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v, error %v", c, err)
		}
		if err != nil {
			return
		}
		if c.Schedule.Interval() <= 0 || c.RefreshBudget <= 0 || c.ImagesPushedWithin < 0 {
			t.Errorf("schedule %v, budget %v, pushed within %v", c.Schedule, c.RefreshBudget, c.ImagesPushedWithin)
		}
		if c.RemoteWriteURL.User != nil {
			t.Error("the URL has user info still")
		}
		if _, err := c.Shape().Repositories.Compile(); err != nil {
			t.Errorf("an expression that was accepted: %v", err)
		}
	})
}
