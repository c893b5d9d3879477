package config

import (
	"net/url"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// methodSettings are the settings of one method.
var methodSettings = []struct {
	variable string
	method   auth.Method
}{
	{"REMOTE_WRITE_USERNAME", auth.Basic},
	{"REMOTE_WRITE_PASSWORD", auth.Basic},
	{"REMOTE_WRITE_BEARER_TOKEN", auth.Bearer},
	{"REMOTE_WRITE_ROLE_ARN", auth.SigV4},
	{"REMOTE_WRITE_ROLE_EXTERNAL_ID", auth.SigV4},
}

// resolveAuth decides how requests authenticate, and finds settings that contradict it.
// The user name and password of the URL move to where those of the variables are.
func (c *Config) resolveAuth(vars map[string]string, amp bool, faults *Faults) {
	c.checkCredentials(vars, faults)
	set := func(variable string) bool { return vars[variable] != "" }
	user := c.RemoteWriteURL.User
	known := c.RemoteWriteURL.Host != "" && !faults.has("REMOTE_WRITE_URL")
	if !set("REMOTE_WRITE_AUTH") {
		switch {
		case amp:
			c.RemoteWriteAuth = auth.SigV4
		case set("REMOTE_WRITE_USERNAME") || user != nil:
			c.RemoteWriteAuth = auth.Basic
		case set("REMOTE_WRITE_BEARER_TOKEN"):
			c.RemoteWriteAuth = auth.Bearer
		default:
			c.RemoteWriteAuth = auth.None
		}
	}
	is := ", and it is " + string(c.RemoteWriteAuth)
	method := c.RemoteWriteAuth
	undecided := !known && !set("REMOTE_WRITE_AUTH") || faults.has("REMOTE_WRITE_AUTH")
	if undecided {
		// Settings of different methods contradict each other whatever it will be.
		method, is = "", ""
	}
	for _, s := range methodSettings {
		if !set(s.variable) {
			continue
		}
		if method == "" {
			method, is = s.method, ", and "+s.variable+" is for "+string(s.method)
		}
		if s.method != method {
			faults.note(vars, s.variable, "to be set only where REMOTE_WRITE_AUTH is "+string(s.method)+is)
		}
	}
	if set("REMOTE_WRITE_ROLE_EXTERNAL_ID") && !set("REMOTE_WRITE_ROLE_ARN") {
		faults.note(vars, "REMOTE_WRITE_ROLE_EXTERNAL_ID", "to be set only with REMOTE_WRITE_ROLE_ARN")
	}
	if undecided {
		return
	}
	if user != nil && c.RemoteWriteAuth != auth.Basic {
		faults.note(vars, "REMOTE_WRITE_URL", "no user name or password in it unless REMOTE_WRITE_AUTH is basic"+is)
	}
	switch c.RemoteWriteAuth {
	case auth.Basic:
		if known {
			c.resolveBasic(vars, user, faults)
		}
	case auth.Bearer:
		if !set("REMOTE_WRITE_BEARER_TOKEN") {
			faults.note(vars, "REMOTE_WRITE_BEARER_TOKEN", "required where REMOTE_WRITE_AUTH is bearer: "+rule("RemoteWriteBearerToken"))
		}
	}
	secrets := c.RemoteWriteAuth == auth.Basic || c.RemoteWriteAuth == auth.Bearer
	if secrets && c.RemoteWriteURL.Scheme == "http" && !c.Loopback() {
		c.Warnings = append(c.Warnings, "REMOTE_WRITE_URL is not https: passwords and tokens can be read on the way")
	}
}

// resolveBasic takes user name and password from the variables or from the URL, one
// possibly from here and the other from there.
func (c *Config) resolveBasic(vars map[string]string, user *url.Userinfo, faults *Faults) {
	password, inURL := user.Password()
	switch name := user.Username(); {
	case vars["REMOTE_WRITE_USERNAME"] != "" && name != "", vars["REMOTE_WRITE_PASSWORD"] != "" && inURL:
		faults.note(vars, "REMOTE_WRITE_URL", "no user name or password in it that is set by REMOTE_WRITE_USERNAME or REMOTE_WRITE_PASSWORD too")
	case name != "":
		c.RemoteWriteUsername = name
	case vars["REMOTE_WRITE_USERNAME"] == "":
		faults.note(vars, "REMOTE_WRITE_USERNAME", "required where REMOTE_WRITE_AUTH is basic: "+rule("RemoteWriteUsername"))
	}
	switch {
	case inURL && vars["REMOTE_WRITE_PASSWORD"] == "":
		var err error
		c.RemoteWritePassword, err = secret.Parse(password)
		if err != nil || auth.CheckPassword(password) != nil || auth.CheckUser(c.RemoteWriteUsername) != nil {
			faults.note(vars, "REMOTE_WRITE_URL", "a user name without colon and a password without control characters, or one that is a reference")
		}
	case vars["REMOTE_WRITE_PASSWORD"] == "":
		faults.note(vars, "REMOTE_WRITE_PASSWORD", "required where REMOTE_WRITE_AUTH is basic: "+rule("RemoteWritePassword"))
	}
	// The transport gets them from one place only.
	c.RemoteWriteURL.User = nil
}

// checkCredentials finds texts that no header can carry. Those behind a reference are
// not known yet.
func (c *Config) checkCredentials(vars map[string]string, faults *Faults) {
	if auth.CheckUser(c.RemoteWriteUsername) != nil {
		faults.add(vars, "RemoteWriteUsername", nil)
	}
	if password, ok := c.RemoteWritePassword.Literal(); ok && auth.CheckPassword(password) != nil {
		faults.add(vars, "RemoteWritePassword", nil)
	}
	if token, ok := c.RemoteWriteBearerToken.Literal(); ok && auth.CheckToken(token) != nil {
		faults.add(vars, "RemoteWriteBearerToken", nil)
	}
}

// checkTLS finds certificates that are malformed or have no use. Those behind a
// reference are not known yet.
func (c *Config) checkTLS(vars map[string]string, faults *Faults) {
	const ca, certificate, key = "REMOTE_WRITE_CA", "REMOTE_WRITE_CLIENT_CERTIFICATE", "REMOTE_WRITE_CLIENT_KEY"
	if c.RemoteWriteURL.Scheme == "http" && !faults.has("REMOTE_WRITE_URL") {
		for _, variable := range []string{ca, certificate, key} {
			if vars[variable] != "" {
				faults.note(vars, variable, "to be set only with an https URL (REMOTE_WRITE_URL)")
			}
		}
	}
	if text, ok := c.RemoteWriteCA.Literal(); ok {
		if _, err := auth.ParseCA(text); err != nil {
			faults.add(vars, "RemoteWriteCA", reason("there is no certificate in it"))
		}
	}
	certificateText, literal := c.RemoteWriteClientCertificate.Literal()
	keyText, literalKey := c.RemoteWriteClientKey.Literal()
	switch {
	case vars[certificate] != "" && vars[key] == "":
		faults.note(vars, certificate, "to be set only with "+key)
	case vars[certificate] == "" && vars[key] != "":
		faults.note(vars, key, "to be set only with "+certificate)
	case literal && literalKey:
		if _, err := auth.ParseKeyPair(certificateText, keyText); err != nil {
			faults.note(vars, certificate, "a certificate as PEM text, and in "+key+" its private key")
		}
	}
}
