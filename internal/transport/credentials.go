package transport

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

func authenticationOf(c *Config) (auth authentication, err error) {
	switch c.Auth {
	case "", AuthBasic:
		if c.User != "" {
			auth.fixed = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
			auth.identity = Identity{User: c.User, Secret: c.Password}
		} else {
			auth.identity = headerIdentity(c.Headers)
		}
	case AuthOAuth2:
		if c.Authorizer == nil {
			return auth, errorf(wit.ErrorConfig, "authentication by oauth2: expected a token service, found none")
		}
		auth.tokens = c.Authorizer
		auth.identity = c.Identity
	case authLogin:
		name, _, _ := c.Login.header()
		auth = authentication{tokens: c.Authorizer, identity: c.Identity, header: http.CanonicalHeaderKey(name)}
	case AuthHeader, AuthNone:
		auth.identity = headerIdentity(c.Headers)
	case AuthCertificate:
		auth.identity = c.Identity
	default:
		return auth, errorf(wit.ErrorConfig,
			"authentication: expected basic, oauth2, header, certificate, login or none, found %q", c.Auth)
	}
	if headers := headerIdentity(c.Headers); headers != auth.identity {
		auth.headers = headers
	}
	auth.identity = queryIdentity(auth.identity, c.SecretQuery)
	return auth, nil
}

func readAuth(c *Config, roles Roles, environment Environment) error {
	if err := checkHeaders(roles); err != nil {
		return err
	}
	c.Auth = strings.ToLower(roles.Text(role.Auth))
	switch {
	case c.Auth == "" && roles.Text(role.LoginTarget) != "":
		c.Auth = authLogin
	case c.Auth == "" && c.User == "":
		c.Auth = AuthNone
	}
	if c.Auth == authLogin {
		return readLogin(c, roles)
	}
	if err := rejectLoginSettings(c, roles); err != nil {
		return err
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

func checkHeaders(roles Roles) error {
	seen := map[string]string{}
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
	return nil
}

func readOAuth(c *Config, roles Roles, environment Environment) error {
	credentials := btp.Credentials{TokenURL: roles.Text(role.OAuthTokenEndpoint),
		ClientID: roles.Text(role.OAuthClientID), Secret: roles.Text(role.OAuthClientSecret)}
	r := roleReader{roles: roles}
	options := btp.TokenOptions{Verbatim: true, InHeader: !r.equals(role.OAuthClientAuth, "body"),
		Scope: roles.Text(role.OAuthScope), ConnectTimeout: c.ConnectTimeout, Logger: environment.Logger,
		Name: func(field string) string { return roles.Setting(role.OAuth + oauthRole(field)) }}
	if r.err != nil {
		return r.err
	}
	c.Route.setTokenRoute(&options)
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
	c.Authorizer = &tokenHeader{tokens: tokens, name: "Authorization", value: "Bearer " + tokenPlaceholder}
	c.Identity = Identity{User: credentials.ClientID, Secret: credentials.Secret}
	return nil
}

func oauthRole(field string) string {
	if field == "token-url" {
		return "token-endpoint"
	}
	return field
}

func queryIdentity(id Identity, query map[string]string) Identity {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		id.Secret += "?" + name + "=" + query[name] + "\n"
	}
	return id
}
