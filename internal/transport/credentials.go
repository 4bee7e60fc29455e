package transport

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// readAuth reads the kind of authentication, and checks that its settings and no others are set.
func readAuth(c *Config, roles Roles, environment Environment) error {
	seen := map[string]string{} // the user's spelling by canonical name
	for _, name := range slices.Sorted(maps.Keys(roles.Prefix(role.Header))) {
		header := role.Header + name
		canonical := http.CanonicalHeaderKey(name)
		isAuthorization := canonical == "Authorization"
		other, ok := seen[canonical]
		switch {
		case !isToken(name):
			return settingError(roles, header, "expected the name of a header after the last dot, found %q", name)
		case isAuthorization && strings.ToLower(roles.Text(role.Auth)) != AuthHeader:
			return settingError(roles, header, "expected %s = header with it, found %s", roles.Setting(role.Auth),
				orNothing(roles.Text(role.Auth)))
		case !isAuthorization && isReservedHeader(canonical) && !strings.HasPrefix(canonical, "Sap-Connectivity-"):
			return settingError(roles, header, "%s is set by Culvert and cannot be configured", name)
		case ok:
			return settingError(roles, header, "%s is also set by another setting, as %s", name, other)
		case !httpguts.ValidHeaderFieldValue(roles.Text(header)):
			return invalidValue(roles, header, setting.Hidden, errors.New("expected a value without line breaks and "+
				"other control characters"))
		}
		seen[canonical] = name
	}
	// Settings that have no effect for the kind of authentication.
	c.Auth = strings.ToLower(roles.Text(role.Auth))
	if c.Auth == "" && c.User == "" {
		c.Auth = AuthNone
	}
	if c.Auth != AuthOAuth2 {
		for _, name := range []string{role.OAuthTokenEndpoint, role.OAuthClientID, role.OAuthClientSecret,
			role.OAuthScope} {
			if roles.IsSet(name) {
				return settingError(roles, name, "expected %s = oauth2 with it, found %s", roles.Setting(role.Auth),
					orNothing(roles.Text(role.Auth)))
			}
		}
	}
	// Settings that the kind requires.
	switch c.Auth {
	case AuthBasic:
		if c.User == "" {
			return settingError(roles, role.User, "expected a user for %s = basic, found nothing",
				roles.Setting(role.Auth))
		}
	case AuthOAuth2:
		if environment.Authorizer != nil {
			c.Authorizer = environment.Authorizer
			c.Identity = environment.Identity
			return nil
		}
		return readOAuth(c, roles, environment)
	case AuthHeader:
		if id := headerIdentity(roles.Prefix(role.Header)); id.Secret == "" && len(c.SecretQuery) == 0 {
			return settingError(roles, role.Auth, "expected a header with credentials, found none: set %s",
				roles.Setting(role.Header+"{name}"))
		}
	case AuthCertificate:
		switch {
		case roles.Text(role.TLSKeyStoreLocation) == "" && environment.Key == nil:
			return settingError(roles, role.Auth, "expected %s for certificate, found nothing",
				roles.Setting(role.TLSKeyStoreLocation))
		case c.Scheme == "http":
			return settingError(roles, role.Auth, "a certificate requires TLS: expected %s = https, found http",
				roles.Setting(role.Scheme))
		}
	}
	return nil
}

// readOAuth reads the token service of oauth2.
func readOAuth(c *Config, roles Roles, environment Environment) error {
	credentials := btp.Credentials{TokenURL: roles.Text(role.OAuthTokenEndpoint),
		ClientID: roles.Text(role.OAuthClientID), Secret: roles.Text(role.OAuthClientSecret)}
	r := roleReader{roles: roles}
	name := func(field string) string {
		if field == "token-url" { // package btp's name
			field = "token-endpoint"
		}
		return roles.Setting(role.OAuth + field)
	}
	options := btp.TokenOptions{Verbatim: true, InHeader: !r.equals(role.OAuthClientAuth, "body"),
		Scope: roles.Text(role.OAuthScope), ConnectTimeout: c.ConnectTimeout, Logger: environment.Logger,
		Name: name}
	if r.err != nil {
		return r.err
	}
	// Token requests use the same proxy, or with SAP Connectivity the environment's.
	if resolved := c.Route.resolved; resolved != nil {
		switch resolved.Type() {
		case route.HTTP:
			options.Proxy = resolved.HTTPProxy().URL
		case route.SOCKS5, route.None:
			options.Dial = resolved.DialContext
			options.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		}
	}
	if u, err := url.Parse(credentials.TokenURL); err == nil {
		c.Route.tokenURL = u
		if c.settingsTLS != nil {
			options.TLS = keystore.ForHost(c.settingsTLS, u.Hostname())
		}
	}
	tokens, err := btp.NewTokens(credentials, options)
	if err != nil {
		f := errorf(wit.ErrorConfig, "%v", err)
		if failure, ok := errors.AsType[*btp.Failure](err); ok && failure.Setting != "" {
			f.Message = strings.TrimPrefix(f.Message, failure.Setting+": ")
			f.Setting = &failure.Setting
		}
		return f
	}
	c.Authorizer = bearerTokens{tokens}
	c.Identity = Identity{User: credentials.ClientID, Secret: credentials.Secret}
	return nil
}
