package transport

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Placeholders in a login's body and header.
const (
	userPlaceholder     = "{user}"
	passwordPlaceholder = "{password}"
	tokenPlaceholder    = "{token}"
)

func readLogin(c *Config, roles Roles) error {
	setting := func(name string) string { return strings.TrimSpace(roles.Text(name)) }
	c.Login = &Login{
		Target:       setting(role.LoginTarget),
		Method:       setting(role.LoginMethod),
		Body:         setting(role.LoginBody),
		TokenPath:    setting(role.LoginTokenPath),
		LifetimePath: setting(role.LoginLifetimePath),
		Header:       setting(role.LoginHeader),
		setting:      roles.Setting,
	}
	return c.Login.validate(c)
}

func (l *Login) name(role string) string {
	if l.setting == nil {
		return role
	}
	return l.setting(role)
}

func (l *Login) errorf(role, format string, args ...any) *wit.Error {
	f := errorf(wit.ErrorConfig, format, args...)
	name := l.name(role)
	f.Setting = &name
	return f
}

func (l *Login) validate(c *Config) error {
	if l.Target == "" {
		return l.errorf(role.LoginTarget, "expected the path or URL of the logon, found nothing")
	}
	if !strings.HasPrefix(l.Target, "/") || strings.HasPrefix(l.Target, "//") {
		if u, err := url.Parse(l.Target); err != nil || (u.Scheme != "http" && u.Scheme != "https") ||
			u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return l.errorf(role.LoginTarget, "expected a path that starts with /, or a URL as https://host/path, "+
				"without user and password in it, found %q", printable(l.Target))
		}
	}
	if method := l.method(); method != http.MethodPost && method != http.MethodPut && method != http.MethodPatch {
		return l.errorf(role.LoginMethod, "expected POST, PUT or PATCH, found %q", l.Method)
	}
	switch {
	case c.User == "" && strings.Contains(l.Body, userPlaceholder):
		return l.errorf(role.User, "expected a user for the logon, found nothing")
	case c.Password == "":
		return l.errorf(role.Password, "expected a password for the logon, found nothing")
	case l.Body == "":
		return l.errorf(role.LoginBody, "expected a body as {\"user\":\"{user}\",\"password\":\"{password}\"} or "+
			"user={user}&password={password}, found nothing")
	case !strings.Contains(l.Body, passwordPlaceholder):
		return l.errorf(role.LoginBody, "expected the placeholder %s, found none (the value is not shown)",
			passwordPlaceholder)
	}
	if l.contentType() == "" {
		return l.errorf(role.LoginBody, "expected JSON, with %s and %s in quotes, or a form as "+
			"user=%s&password=%s, found something else (not shown)",
			userPlaceholder, passwordPlaceholder, userPlaceholder, passwordPlaceholder)
	}
	if len(splitMemberPath(l.TokenPath)) == 0 {
		return l.errorf(role.LoginTokenPath, "expected the path of the token in the response, as data.token, found %q",
			l.TokenPath)
	}
	if l.LifetimePath != "" && len(splitMemberPath(l.LifetimePath)) == 0 {
		return l.errorf(role.LoginLifetimePath,
			"expected the path of the lifetime in seconds in the response, as data.expires_in, found %q",
			l.LifetimePath)
	}
	name, value, ok := l.header()
	canonical := http.CanonicalHeaderKey(name)
	if !ok || !isToken(name) || strings.Count(value, tokenPlaceholder) != 1 || !httpguts.ValidHeaderFieldValue(value) ||
		(isReservedHeader(canonical) && canonical != "Authorization") || slices.Contains(settingsHeaders, canonical) {
		return l.errorf(role.LoginHeader,
			"expected a header with %s once in its value, as Authorization: Bearer %s, found %q", tokenPlaceholder,
			tokenPlaceholder, l.Header)
	}
	for header := range c.Headers {
		if http.CanonicalHeaderKey(header) == canonical {
			return l.errorf(role.LoginHeader, "%s is also set by another setting", name)
		}
	}
	return nil
}

func (l *Login) method() string {
	if l.Method == "" {
		return http.MethodPost
	}
	return strings.ToUpper(l.Method)
}

func (l *Login) header() (name, value string, ok bool) {
	line := l.Header
	if line == "" {
		line = "Authorization: Bearer " + tokenPlaceholder
	}
	name, value, ok = strings.Cut(line, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// contentType returns the type of the body, "" if it is neither JSON nor a form.
func (l *Login) contentType() string {
	filled := strings.NewReplacer(userPlaceholder, "x", passwordPlaceholder, "x").Replace(l.Body)
	if json.Valid([]byte(filled)) && strings.ContainsAny(filled[:1], `{["`) {
		return jsonType
	}
	if strings.ContainsAny(l.Body, " \t\r\n") {
		return ""
	}
	for pair := range strings.SplitSeq(filled, "&") {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" || strings.ContainsAny(pair, `{}[]"`) {
			return ""
		}
	}
	return formType
}

// body fills in user and password, escaped for the content type.
func (l *Login) body(user, password string) string {
	escape := url.QueryEscape
	if l.contentType() == jsonType {
		escape = escapeJSON
	}
	return strings.NewReplacer(userPlaceholder, escape(user), passwordPlaceholder, escape(password)).Replace(l.Body)
}

func escapeJSON(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return ""
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// splitMemberPath splits a dotted path of member names; a leading `$.` is ignored.
func splitMemberPath(path string) []string {
	path = strings.TrimPrefix(path, "$.")
	if path == "" || path == "$" {
		return nil
	}
	names := strings.Split(path, ".")
	if slices.Contains(names, "") {
		return nil
	}
	return names
}

// identity includes the login's settings: a refused password may be right at another URL.
func (l *Login) identity(c *Config) Identity {
	secret := fmt.Sprintf("%q %q %q %q %q", c.Password, l.Target, l.method(), l.Body, l.TokenPath)
	return Identity{User: c.User, Secret: secret}
}

// addLogin sets Authorizer, Identity and the route's tokenURL for authentication by c.Login.
func (c *Config) addLogin(origin endpoint) error {
	if c.Auth != authLogin || c.Authorizer != nil {
		return nil
	}
	if c.Login == nil {
		return errorf(wit.ErrorConfig, "authentication by login: expected the settings of the login, found none")
	}
	if err := c.Login.validate(c); err != nil {
		return err
	}
	login := c.Login
	request := btp.Login{Method: login.method(), Body: login.body(c.User, c.Password),
		TokenPath: splitMemberPath(login.TokenPath), LifetimePath: splitMemberPath(login.LifetimePath),
		Header: http.Header{"Accept": {jsonType}, "User-Agent": {"culvert"}, "Content-Type": {login.contentType()}}}
	options := btp.TokenOptions{ConnectTimeout: c.ConnectTimeout + c.Route.Outage, ReadTimeout: c.ReadTimeout,
		Dial: c.Dial, RoundTripper: c.Route.RoundTripper, Logger: c.Logger, Name: login.name}
	tlsConfig := c.TLS
	if isOnOrigin, line := c.loginTarget(origin); isOnOrigin {
		d := &destination{config: *c, origin: origin}
		request.URL = d.urlOf(line)
		request.Host = origin.authority()
		for name, value := range c.Headers {
			request.Header.Set(name, value)
		}
		tlsConfig = c.ServerTLS()
	} else {
		request.URL, _ = url.Parse(login.Target)
		request.Host = request.URL.Host
		if c.explain != nil { // a BTP destination's values apply to its own server only
			tlsConfig = c.settingsTLS
		}
	}
	if tlsConfig != nil {
		options.TLS = keystore.ForHost(tlsConfig, request.URL.Hostname())
	}
	c.Route.tokenURL = request.URL
	// Texts are hidden in all encodings, longest first.
	secrets := []string{request.Body}
	values := slices.Collect(maps.Values(c.SecretQuery))
	for name, value := range c.Headers {
		if !slices.Contains(publicHeaders, name) {
			values = append(values, value)
		}
	}
	for _, value := range append(values, c.Password) {
		secrets = append(secrets, value, escapeJSON(value), url.QueryEscape(value), url.PathEscape(value),
			base64.StdEncoding.EncodeToString([]byte(c.User+":"+value)))
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	request.Secrets = slices.Compact(secrets)
	name, value, _ := login.header()
	tokens := btp.NewLogin(request, options)
	c.Authorizer = &tokenHeader{tokens: tokens, name: http.CanonicalHeaderKey(name), value: value}
	c.Identity = login.identity(c)
	return nil
}

// loginTarget reports whether the login is on the service's own origin, and its request line there.
func (c *Config) loginTarget(o endpoint) (isOnOrigin bool, line string) {
	line, err := o.resolve(c.Login.Target, "")
	if path, _, _ := strings.Cut(line, "?"); err == nil && c.Prefix != "" && !session.Below(path, c.Prefix) {
		line = c.Prefix + line
	}
	return err == nil, line
}
