package transport

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// The kinds of authentication.
const (
	AuthBasic       = "basic"
	AuthOAuth2      = "oauth2"
	AuthHeader      = "header"
	AuthCertificate = "certificate"
	authLogin       = "login"
	AuthNone        = "none"
)

// Authorizer hands out what requests show in place of a password: a token that is renewed in time. Safe for use by
// several goroutines.
type Authorizer interface {
	// Authorize is a header, with another value than the refused one where that is not empty. It is called for each
	// request. Errors are *btp.Failure, or faults.
	Authorize(ctx context.Context, refused string) (name, value string, err error)
}

// Identity is who logs on, by which refusals are remembered. The secret is nothing but compared.
type Identity struct{ User, Secret string }

// authentication is what the requests of a destination show.
type authentication struct {
	// fixed goes on each request, "" is nothing.
	fixed    string
	tokens   Authorizer
	identity Identity
	// header is where tokens stand, as far as that is known.
	header string
}

// authenticationOf reads it from a configuration whose headers are in lower case.
func authenticationOf(c *Config) (a authentication, err error) {
	switch c.Auth {
	case "", AuthBasic:
		if c.User != "" {
			a.fixed = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
			a.identity = Identity{c.User, c.Password}
		}
	case AuthOAuth2:
		if c.Authorizer == nil {
			return a, faultf(wit.FaultConfig, "authentication by oauth2: expected a service that hands out tokens")
		}
		a.tokens, a.identity = c.Authorizer, c.Identity
	case authLogin:
		name, _, _ := c.Login.header()
		a = authentication{tokens: c.Authorizer, identity: c.Identity, header: http.CanonicalHeaderKey(name)}
	case AuthHeader:
		a.identity = headerIdentity(c.Headers)
	case AuthCertificate:
		a.identity = c.Identity
	case AuthNone:
	default:
		return a, faultf(wit.FaultConfig,
			"authentication: expected basic, oauth2, header, certificate, login or none, found %q", c.Auth)
	}
	a.identity = queryIdentity(a.identity, c.SecretQuery)
	return a, nil
}

// notSecret are headers that say nothing about who logs on.
var notSecret = []string{"sap-client", "sap-language"}

func headerIdentity(headers map[string]string) (id Identity) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !slices.Contains(notSecret, name) {
			id.Secret += name + ":" + headers[name] + "\n"
		}
	}
	return id
}

// authorize adds what the request shows. value is that of a token, which may be refused and renewed; "" where there is
// none.
func (a *authentication) authorize(ctx context.Context, h http.Header, refused string) (value string, err error) {
	if a.fixed != "" {
		h.Set("Authorization", a.fixed)
	}
	if a.tokens == nil {
		return "", nil
	}
	name, value, err := a.tokens.Authorize(ctx, refused)
	if err != nil {
		return "", err
	}
	if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
		return "", faultf(wit.FaultUnauthorized, "token for the service: expected one without line breaks")
	}
	h.Set(name, value)
	return value, nil
}

// tokenFault is the fault of a token that was not to be had. refused: the secret that it is given for was refused.
func tokenFault(ctx context.Context, err error) (fault error, refused bool) {
	if ctx.Err() != nil {
		return context.Cause(ctx), false
	}
	if f, ok := err.(*wit.Fault); ok {
		return f, false
	}
	if failure, ok := errors.AsType[*btp.Failure](err); ok {
		switch failure.Kind {
		case btp.Unauthorized:
			return faultf(wit.FaultUnauthorized, "%v", err), true
		case btp.Unavailable:
			return faultf(wit.FaultTransient, "%v", err), false
		}
	}
	return faultf(wit.FaultConfig, "%v", err), false
}

// authenticateBy reads how to log on from roles.
func authenticateBy(c *Config, roles Roles, s Surroundings) error {
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
		return loginBy(c, roles)
	}
	if err := loginUnused(c, roles); err != nil {
		return err
	}
	if c.Auth != AuthOAuth2 {
		for _, name := range []string{role.OAuthTokenEndpoint, role.OAuthClientID, role.OAuthClientSecret,
			role.OAuthScope} {
			if roles.Given(name) {
				return wrong(roles, name, "expected %s = oauth2 with it, found %s", roles.Setting(role.Auth),
					orNothing(roles.Text(role.Auth)))
			}
		}
	}
	switch c.Auth {
	case AuthBasic:
		if c.User == "" {
			return wrong(roles, role.User, "expected a user for %s = basic, found nothing", roles.Setting(role.Auth))
		}
	case AuthOAuth2:
		if s.Authorizer != nil {
			c.Authorizer, c.Identity = s.Authorizer, s.Identity
			return nil
		}
		return oauthBy(c, roles, s)
	case AuthHeader:
		if id := headerIdentity(roles.Prefix(role.Header)); id.Secret == "" && len(c.SecretQuery) == 0 {
			return wrong(roles, role.Auth, "expected a header to log on with for header, found none: %s",
				roles.Setting(role.Header+"{name}"))
		}
	case AuthCertificate:
		switch {
		case roles.Text(role.TLSKeyStoreLocation) == "" && s.Key == nil:
			return wrong(roles, role.Auth, "expected %s for certificate, found nothing",
				roles.Setting(role.TLSKeyStoreLocation))
		case c.Scheme == "http":
			return wrong(roles, role.Auth, "certificate is shown by TLS only: expected %s = https, found http",
				roles.Setting(role.Scheme))
		}
	}
	return nil
}

func orNothing(s string) string { return cmp.Or(s, "nothing") }

func checkHeaders(roles Roles) error {
	seen := map[string]bool{}
	for name := range roles.Prefix(role.Header) {
		header := role.Header + name
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !token(name):
			return wrong(roles, header, "expected the name of a header after the last dot, found %q", name)
		case canonical == "Authorization" && strings.ToLower(roles.Text(role.Auth)) == AuthHeader:
		case canonical == "Authorization":
			return wrong(roles, header, "expected %s = header with it, found %s", roles.Setting(role.Auth),
				orNothing(roles.Text(role.Auth)))
		case reserved(canonical) && !strings.HasPrefix(canonical, "Sap-Connectivity-"):
			return wrong(roles, header, "%s is made by the program itself", name)
		case seen[canonical]:
			return wrong(roles, header, "%s is set by another setting too", name)
		case strings.ContainsAny(roles.Text(header), "\r\n\x00"):
			return invalid(roles, header, setting.Hidden, errors.New("expected a value without line breaks"))
		}
		seen[canonical] = true
	}
	return nil
}

func oauthBy(c *Config, roles Roles, s Surroundings) error {
	credentials := btp.Credentials{TokenURL: roles.Text(role.OAuthTokenEndpoint),
		ClientID: roles.Text(role.OAuthClientID),
		Secret:   roles.Text(role.OAuthClientSecret)}
	r := roleReader{roles: roles}
	options := btp.TokenOptions{Verbatim: true, InHeader: !r.is(role.OAuthClientAuth, "body"),
		Scope:          roles.Text(role.OAuthScope),
		ConnectTimeout: c.ConnectTimeout, Logger: s.Logger,
		Name: func(field string) string { return roles.Setting(role.OAuth + oauthRole(field)) }}
	if r.err != nil {
		return r.err
	}
	c.Route.forTokens(&options)
	if u, err := url.Parse(credentials.TokenURL); err == nil && c.ownTLS != nil {
		options.TLS = keystore.ForHost(c.ownTLS, u.Hostname())
	}
	tokens, err := btp.NewTokens(credentials, options)
	if err != nil {
		f := faultf(wit.FaultConfig, "%v", err)
		if failure, ok := errors.AsType[*btp.Failure](err); ok && failure.Setting != "" {
			f.Message = strings.TrimPrefix(f.Message, failure.Setting+": ")
			f.Setting = &failure.Setting
		}
		return f
	}
	c.Authorizer, c.Identity = &shownToken{tokens, "Authorization", "Bearer " + tokenPlace},
		Identity{credentials.ClientID, credentials.Secret}
	return nil
}

// oauthRole is the end of the role of a field as package btp calls it.
func oauthRole(field string) string {
	if field == "token-url" {
		return "token-endpoint"
	}
	return field
}

// shownToken shows a token in a header.
type shownToken struct {
	tokens *btp.Tokens
	// name is the header, value what it says, with a place for the token.
	name, value string
}

// Authorize is the header with a token that is not the refused one.
func (s *shownToken) Authorize(ctx context.Context, refused string) (name, value string, err error) {
	before, after, _ := strings.Cut(s.value, tokenPlace)
	token, err := s.tokens.Token(ctx, strings.TrimSuffix(strings.TrimPrefix(refused, before), after))
	return s.name, before + token + after, err
}
