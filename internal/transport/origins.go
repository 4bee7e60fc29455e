package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/sdk/go/role"
)

const withCredentials = "with credentials"

func readOrigins(c *Config, roles Roles, _ Environment) error {
	if strings.TrimSpace(roles.Text(role.Origins)) == "" {
		return nil
	}
	for text := range strings.SplitSeq(roles.Text(role.Origins), ",") {
		o, err := readOrigin(text)
		if err == nil {
			err = c.checkOrigin(o)
		}
		if err != nil {
			return invalidValue(roles, role.Origins, LoggedTarget(strings.TrimSpace(text)), err)
		}
		c.Origins = append(c.Origins, o)
	}
	c.names.origins = roles.Setting(role.Origins)
	return nil
}

// readOrigin parses `https://host:port`, optionally followed by `with credentials`. Errors do not print texts that
// may contain a password.
func readOrigin(text string) (o Origin, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return o, errors.New("expected origins with commas between, found nothing between two commas")
	}
	if rest := strings.Join(words[1:], " "); strings.EqualFold(rest, withCredentials) {
		o.Credentials = true
	} else if rest != "" {
		return o, fmt.Errorf("expected an origin, or an origin and the words %q, found %q after it", withCredentials,
			redactUser(rest))
	}
	u, err := url.Parse(words[0])
	switch {
	case err != nil:
		return o, fmt.Errorf("expected an origin as https://host or https://host:8443, found %q", redactUser(words[0]))
	case u.User != nil:
		return o, fmt.Errorf("expected an origin without user and password in it, found %q: who logs on "+
			"stands in settings of its own", redactUser(words[0]))
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Path != "" && u.Path != "/", u.RawQuery != "",
		u.Fragment != "",
		strings.Contains(u.Host, "*"):
		return o, fmt.Errorf("expected an origin as https://host or https://host:8443, without "+
			"path and query, found %q", printable(words[0]))
	}
	o.Scheme, o.Address = u.Scheme, u.Hostname()
	if port := u.Port(); port != "" {
		if _, err := fmt.Sscanf(port, "%d", &o.Port); err != nil || o.Port < 1 || o.Port > 65535 {
			return o, fmt.Errorf("%s: expected a port from 1 to 65535, found %q", o.Address, port)
		}
	}
	return o, nil
}

func (c *Config) checkOrigin(o Origin) error {
	switch {
	case o.Credentials && o.Scheme == "http" && c.Scheme == "https" && !loopback.Is(o.Address):
		return fmt.Errorf("expected https for %s, which is to be shown the credentials of a service that is "+
			"asked by https, found http", o.Address)
	case c.Route.httpOnly() && o.Scheme != "http":
		return fmt.Errorf("expected http://%s behind this proxy, found https: it takes http only, TLS is made "+
			"behind the Cloud Connector", o.Address)
	}
	return nil
}

// forOrigin returns the configuration of a further origin on the same route. A BTP destination's values for its own
// server do not apply there.
func (c Config) forOrigin(o Origin) Config {
	c.Scheme, c.Address, c.Port = o.Scheme, o.Address, o.Port
	c.Origins, c.Prefix, c.Query, c.LogoffPath, c.Refresh, c.TrustAll = nil, "", nil, "", nil, false
	if c.explain != nil { // else nothing came from a destination
		c.TLS = c.settingsTLS
	}
	c.names = settingNames{address: c.names.origins}
	if at, err := c.origin(); err == nil && c.Route.resolved != nil {
		c.Route.AbsoluteForm = c.Route.usesAbsoluteForm(at)
	}
	if o.Credentials {
		return c
	}
	c.Auth, c.User, c.Password, c.Headers, c.SecretQuery, c.Authorizer, c.Identity, c.Login = AuthNone, "", "", nil,
		nil, nil, Identity{}, nil
	c.ClientInQuery = false
	c.TLS = withoutCertificate(c.TLS)
	return c
}

func withoutCertificate(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.Certificates, c.GetClientCertificate = nil, nil
	return c
}
