package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
)

// resolveAuth settles how requests authenticate, and finds what contradicts it. The
// user name and password of the URL end up where those of the variables are.
func (c *Config) resolveAuth(vars map[string]string, amp bool, faults *Faults) {
	c.checkCredentials(vars, faults)
	set := func(variable string) bool { return vars[variable] != "" }
	user := c.RemoteWriteURL.User
	// Without the endpoint, which a dry run need not have, nobody knows what the rest
	// would contradict.
	known := c.RemoteWriteURL.Host != "" && !faults.has("REMOTE_WRITE_URL")
	if !set("REMOTE_WRITE_AUTH") {
		switch {
		case amp:
			c.RemoteWriteAuth = AuthSigV4
		case set("REMOTE_WRITE_USERNAME") || user != nil:
			c.RemoteWriteAuth = AuthBasic
		case set("REMOTE_WRITE_BEARER_TOKEN"):
			c.RemoteWriteAuth = AuthBearer
		default:
			c.RemoteWriteAuth = AuthNone
		}
		if !known {
			return
		}
	} else if faults.has("REMOTE_WRITE_AUTH") {
		return
	}
	is := ", and it is " + string(c.RemoteWriteAuth)
	belongs := func(variable string, to Auth) {
		if set(variable) && c.RemoteWriteAuth != to {
			faults.note(vars, variable, "to be set only where REMOTE_WRITE_AUTH is "+string(to)+is)
		}
	}
	belongs("REMOTE_WRITE_USERNAME", AuthBasic)
	belongs("REMOTE_WRITE_PASSWORD", AuthBasic)
	belongs("REMOTE_WRITE_BEARER_TOKEN", AuthBearer)
	belongs("REMOTE_WRITE_ROLE_ARN", AuthSigV4)
	belongs("REMOTE_WRITE_ROLE_EXTERNAL_ID", AuthSigV4)
	if set("REMOTE_WRITE_ROLE_EXTERNAL_ID") && !set("REMOTE_WRITE_ROLE_ARN") {
		faults.note(vars, "REMOTE_WRITE_ROLE_EXTERNAL_ID", "to be set only with REMOTE_WRITE_ROLE_ARN")
	}
	if user != nil && c.RemoteWriteAuth != AuthBasic {
		faults.note(vars, "REMOTE_WRITE_URL", "no user name or password in it unless REMOTE_WRITE_AUTH is basic"+is)
	}
	switch c.RemoteWriteAuth {
	case AuthBasic:
		if known {
			c.resolveBasic(vars, user, faults)
		}
	case AuthBearer:
		if !set("REMOTE_WRITE_BEARER_TOKEN") {
			faults.note(vars, "REMOTE_WRITE_BEARER_TOKEN", "required where REMOTE_WRITE_AUTH is bearer: "+rule("RemoteWriteBearerToken"))
		}
	}
	secrets := c.RemoteWriteAuth == AuthBasic || c.RemoteWriteAuth == AuthBearer
	if secrets && c.RemoteWriteURL.Scheme == "http" && !c.Loopback() {
		c.Warnings = append(c.Warnings, "REMOTE_WRITE_URL is not https: passwords and tokens can be read on the way")
	}
}

// resolveBasic brings user name and password together, from the variables and from
// the URL. One may be here and the other there.
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
		if c.RemoteWritePassword.UnmarshalText([]byte(password)) != nil || !plain(password) || !validUsername(c.RemoteWriteUsername) {
			faults.note(vars, "REMOTE_WRITE_URL", "a user name without colon and a password without control characters, or one that is a reference")
		}
	case vars["REMOTE_WRITE_PASSWORD"] == "":
		faults.note(vars, "REMOTE_WRITE_PASSWORD", "required where REMOTE_WRITE_AUTH is basic: "+rule("RemoteWritePassword"))
	}
	// The transport gets them from one place only.
	c.RemoteWriteURL.User = nil
}

// validUsername holds a user name against https://www.rfc-editor.org/rfc/rfc7617#section-2.
func validUsername(name string) bool { return !strings.Contains(name, ":") && plain(name) }

// checkCredentials finds texts that no header can carry.
func (c *Config) checkCredentials(vars map[string]string, faults *Faults) {
	if !validUsername(c.RemoteWriteUsername) {
		faults.add(vars, "RemoteWriteUsername", nil)
	}
	if !plain(c.RemoteWritePassword.Reveal()) {
		faults.add(vars, "RemoteWritePassword", nil)
	}
	token := c.RemoteWriteBearerToken.Reveal()
	if !isReference(token) && strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		faults.add(vars, "RemoteWriteBearerToken", nil)
	}
}

// checkTLS finds certificates that are none or have no use. Those behind a reference
// are not known yet.
func (c *Config) checkTLS(vars map[string]string, faults *Faults) {
	const ca, certificate, key = "REMOTE_WRITE_CA", "REMOTE_WRITE_CLIENT_CERTIFICATE", "REMOTE_WRITE_CLIENT_KEY"
	if c.RemoteWriteURL.Scheme == "http" && !faults.has("REMOTE_WRITE_URL") {
		for _, variable := range []string{ca, certificate, key} {
			if vars[variable] != "" {
				faults.note(vars, variable, "to be set only with an https URL (REMOTE_WRITE_URL)")
			}
		}
	}
	literal := func(s Secret) bool { return s.IsSet() && !isReference(s.Reveal()) }
	if literal(c.RemoteWriteCA) && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.RemoteWriteCA.Reveal())) {
		faults.add(vars, "RemoteWriteCA", reason("there is no certificate in it"))
	}
	switch {
	case c.RemoteWriteClientCertificate.IsSet() != c.RemoteWriteClientKey.IsSet():
		if c.RemoteWriteClientKey.IsSet() {
			faults.note(vars, key, "to be set only with "+certificate)
		} else {
			faults.note(vars, certificate, "to be set only with "+key)
		}
	case literal(c.RemoteWriteClientCertificate) && literal(c.RemoteWriteClientKey):
		if _, err := tls.X509KeyPair([]byte(c.RemoteWriteClientCertificate.Reveal()), []byte(c.RemoteWriteClientKey.Reveal())); err != nil {
			faults.note(vars, certificate, "a certificate as PEM text, and in "+key+" its private key")
		}
	}
}
