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

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/session"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Placeholders of a login.
const (
	userPlaceholder     = "{user}"
	passwordPlaceholder = "{password}"
	tokenPlaceholder    = "{token}"
)

func readLogin(c *Config, roles Roles) error {
	of := func(name string) string { return strings.TrimSpace(roles.Text(name)) }
	c.Login = &Login{Target: of(role.LoginTarget), Method: of(role.LoginMethod), Body: of(role.LoginBody),
		TokenPath:    of(role.LoginTokenPath),
		LifetimePath: of(role.LoginLifetimePath), Header: of(role.LoginHeader), setting: roles.Setting}
	return c.Login.validate(c)
}

// rejectLoginSettings rejects settings of a login under another kind of authentication.
func rejectLoginSettings(c *Config, roles Roles) error {
	for _, name := range []string{role.LoginTarget, role.LoginMethod, role.LoginBody, role.LoginTokenPath,
		role.LoginLifetimePath, role.LoginHeader} {
		if roles.IsSet(name) && roles.Text(name) != "" {
			return settingError(roles, name, "expected %s = login with it, and %s, found %s", roles.Setting(role.Auth),
				roles.Setting(role.LoginTarget), orNothing(c.Auth))
		}
	}
	return nil
}

func (l *Login) name(role string) string {
	if l.setting == nil {
		return role
	}
	return l.setting(role)
}

func (l *Login) errorf(role, format string, args ...any) *wit.Error {
	f, name := errorf(wit.ErrorConfig, format, args...), l.name(role)
	f.Setting = &name
	return f
}

func (l *Login) validate(c *Config) error {
	if l.Target == "" {
		return l.errorf(role.LoginTarget, "expected a path, or a URL, to log on at, found nothing")
	}
	if !strings.HasPrefix(l.Target, "/") || strings.HasPrefix(l.Target, "//") {
		if u, err := url.Parse(l.Target); err != nil || u.Scheme != "http" && u.Scheme != "https" ||
			u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return l.errorf(role.LoginTarget, "expected a path that begins with /, or a URL as https://host/path, "+
				"without user and password in it, found %q", printable(l.Target))
		}
	}
	if method := l.method(); method != http.MethodPost && method != http.MethodPut && method != http.MethodPatch {
		return l.errorf(role.LoginMethod, "expected POST, PUT or PATCH, found %q", l.Method)
	}
	switch {
	case c.User == "" && strings.Contains(l.Body, userPlaceholder):
		return l.errorf(role.User, "expected the user to log on with, found nothing")
	case c.Password == "":
		return l.errorf(role.Password, "expected the password to log on with, found nothing")
	case l.Body == "":
		return l.errorf(role.LoginBody, "expected a body as {\"user\":\"{user}\",\"password\":\"{password}\"} or "+
			"user={user}&password={password}, found nothing")
	case !strings.Contains(l.Body, passwordPlaceholder):
		return l.errorf(role.LoginBody, "expected %s in it, where the password goes, found none "+
			"(what is there is not shown)", passwordPlaceholder)
	}
	if l.contentType() == "" {
		return l.errorf(role.LoginBody, "expected JSON, with %s and %s inside of quotes, or a form as "+
			"user=%s&password=%s, found something else (not shown)",
			userPlaceholder, passwordPlaceholder, userPlaceholder, passwordPlaceholder)
	}
	if len(splitMemberPath(l.TokenPath)) == 0 {
		return l.errorf(role.LoginTokenPath, "expected where the token is in the answer, as data.token, found %q",
			l.TokenPath)
	}
	if l.LifetimePath != "" && len(splitMemberPath(l.LifetimePath)) == 0 {
		return l.errorf(role.LoginLifetimePath,
			"expected where the seconds are in the answer, as data.expires_in, found %q", l.LifetimePath)
	}
	name, value, ok := l.header()
	canonical := http.CanonicalHeaderKey(name)
	if !ok || !isToken(name) || strings.Count(value, tokenPlaceholder) != 1 || strings.ContainsAny(value, "\r\n\x00") ||
		isReservedHeader(canonical) && canonical != "Authorization" || slices.Contains(settingsHeaders, canonical) {
		return l.errorf(role.LoginHeader,
			"expected a header of its own with %s once in its value, as Authorization: Bearer %s, found %q", tokenPlaceholder,
			tokenPlaceholder, l.Header)
	}
	for header := range c.Headers {
		if http.CanonicalHeaderKey(header) == canonical {
			return l.errorf(role.LoginHeader, "%s is set by another setting too", name)
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
	text := l.Header
	if text == "" {
		text = "Authorization: Bearer " + tokenPlaceholder
	}
	name, value, ok = strings.Cut(text, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// contentType returns JSON or form, whichever the body is once its placeholders are filled; else "".
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

func (l *Login) body(user, password string) string {
	escape := url.QueryEscape
	if l.contentType() == jsonType {
		escape = escapeJSON
	}
	return strings.NewReplacer(userPlaceholder, escape(user), passwordPlaceholder, escape(password)).Replace(l.Body)
}

// escapeJSON escapes a text for a JSON string.
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

// splitMemberPath splits a path of member names; a leading `$.` means the answer itself.
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

// identity includes the login's own settings: a refused password may be right at another URL.
func (l *Login) identity(c *Config) Identity {
	return Identity{c.User, fmt.Sprintf("%q %q %q %q %q", c.Password, l.Target, l.method(), l.Body, l.TokenPath)}
}

// addLogin sets the Authorizer of a login.
func (c *Config) addLogin(o endpoint) error {
	if c.Auth != authLogin || c.Authorizer != nil {
		return nil
	}
	if c.Login == nil {
		return errorf(wit.ErrorConfig, "authentication by login: expected where, and how")
	}
	if err := c.Login.validate(c); err != nil {
		return err
	}
	l := c.Login
	request := btp.Login{Method: l.method(), Body: l.body(c.User, c.Password), TokenPath: splitMemberPath(l.TokenPath),
		LifetimePath: splitMemberPath(l.LifetimePath),
		Header:       http.Header{"Accept": {jsonType}, "User-Agent": {"culvert"}, "Content-Type": {l.contentType()}}}
	options := btp.TokenOptions{ConnectTimeout: c.ConnectTimeout + c.Route.Outage, ReadTimeout: c.ReadTimeout,
		Dial: c.Dial, RoundTripper: c.Route.RoundTripper,
		Logger: c.Logger, Name: l.name}
	secure := c.TLS
	if own, line := c.loginTarget(o); own {
		d := &destination{config: *c, origin: o}
		request.URL, request.Host = d.urlOf(line), o.authority()
		for name, value := range c.Headers {
			request.Header.Set(name, value)
		}
		secure = c.ServerTLS()
	} else {
		request.URL, _ = url.Parse(l.Target)
		request.Host = request.URL.Host
		if c.explain != nil { // what a destination of BTP says holds for its own server
			secure = c.settingsTLS
		}
	}
	if secure != nil {
		options.TLS = keystore.ForHost(secure, request.URL.Hostname())
	}
	request.Secrets = c.loginSecrets(request.Body)
	name, value, _ := l.header()
	c.Authorizer = &tokenHeader{btp.NewLogin(request, options), http.CanonicalHeaderKey(name), value}
	c.Identity = l.identity(c)
	return nil
}

func (c *Config) loginTarget(o endpoint) (own bool, line string) {
	line, err := o.resolve(c.Login.Target, "")
	if path, _, _ := strings.Cut(line, "?"); err == nil && c.Prefix != "" && !session.Below(path, c.Prefix) {
		line = c.Prefix + line
	}
	return err == nil, line
}

// loginSecrets returns the secrets of a login in all their encodings, longest first.
func (c *Config) loginSecrets(body string) []string {
	secrets := []string{body}
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
	return slices.Compact(secrets)
}
