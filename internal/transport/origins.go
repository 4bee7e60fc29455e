package transport

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/culvert-project/culvert/internal/base/loopback"
	"github.com/culvert-project/culvert/sdk/go/role"
)

const withCredentials = "with credentials"

// readOrigins reads the further origins, separated by commas.
func readOrigins(c *Config, roles Roles, _ Environment) error {
	if strings.TrimSpace(roles.Text(role.Origins)) == "" {
		return nil
	}
	for entry := range strings.SplitSeq(roles.Text(role.Origins), ",") {
		o, err := readOrigin(entry)
		if err == nil {
			err = c.checkOrigin(o)
		}
		if err != nil {
			return invalidValue(roles, role.Origins, LoggedTarget(strings.TrimSpace(entry)), err)
		}
		c.Origins = append(c.Origins, o)
	}
	c.names.origins = roles.Setting(role.Origins)
	return nil
}

// readOrigin parses `https://host:port`, optionally followed by `with credentials`. Errors hide possible passwords.
func readOrigin(text string) (origin Origin, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return origin, errors.New("expected origins separated by commas, found nothing between two commas")
	}
	if option := strings.Join(words[1:], " "); strings.EqualFold(option, withCredentials) {
		origin.Credentials = true
	} else if option != "" {
		return origin, fmt.Errorf("expected an origin, optionally followed by %q, found %q after it", withCredentials,
			redactUser(option))
	}
	originURL, err := url.Parse(words[0])
	switch {
	case err != nil:
		return origin, fmt.Errorf("expected an origin as https://host or https://host:8443, found %q",
			redactUser(words[0]))
	case originURL.User != nil:
		return origin, fmt.Errorf("expected an origin without user and password in it, found %q: credentials "+
			"have their own settings", redactUser(words[0]))
	case originURL.Scheme != "http" && originURL.Scheme != "https", originURL.Hostname() == "",
		originURL.Path != "" && originURL.Path != "/", originURL.RawQuery != "", originURL.Fragment != "",
		strings.Contains(originURL.Host, "*"):
		return origin, fmt.Errorf("expected an origin as https://host or https://host:8443, without "+
			"path and query, found %q", printable(words[0]))
	}
	origin.Scheme = originURL.Scheme
	origin.Address = originURL.Hostname()
	if port := originURL.Port(); port != "" {
		if _, err := fmt.Sscanf(port, "%d", &origin.Port); err != nil || origin.Port < 1 || origin.Port > 65535 {
			return origin, fmt.Errorf("%s: expected a port from 1 to 65535, found %q", origin.Address, port)
		}
	}
	return origin, nil
}

func (c *Config) checkOrigin(o Origin) error {
	switch {
	case o.Credentials && o.Scheme == "http" && c.Scheme == "https" && !loopback.Is(o.Address):
		return fmt.Errorf("expected https for %s, which receives the credentials of a service that uses "+
			"https, found http", o.Address)
	case c.Route.httpOnly() && o.Scheme != "http":
		return fmt.Errorf("expected http://%s behind this proxy, found https: it supports http only, the Cloud "+
			"Connector uses TLS to the service", o.Address)
	}
	return nil
}

// forOrigin returns the configuration of a further origin. A BTP destination's values for its own server do not apply.
func (c Config) forOrigin(o Origin) Config {
	c.Scheme = o.Scheme
	c.Address = o.Address
	c.Port = o.Port
	c.Origins = nil
	c.Prefix = ""
	c.Query = nil
	c.LogoffPath = ""
	c.Refresh = nil // the service's Refresh also applies to further origins
	c.TrustAll = false
	if c.explain != nil { // TLS may have values of a BTP destination
		c.TLS = c.settingsTLS
	}
	c.names = settingNames{address: c.names.origins}
	if origin, err := c.origin(); err == nil && c.Route.resolved != nil {
		c.Route.AbsoluteForm = c.Route.usesAbsoluteForm(origin)
	}
	if o.Credentials {
		return c
	}
	c.Credentials = Credentials{Auth: AuthNone}
	c.Route.tokenURL = nil
	c.ClientInQuery = false
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.Certificates = nil
		c.TLS.GetClientCertificate = nil
	}
	return c
}
