package transport

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// credentialsHint names the settings of the proxy's credentials, in brackets; "" if they have none.
func (r *Route) credentialsHint() string {
	switch {
	case r.Settings.Name == nil: // not configured by settings
	case r.Settings.Type == route.HTTP:
		return " (see " + r.Settings.Name(route.NameUser) + ", " + r.Settings.Name(route.NamePassword) + ")"
	case r.Settings.Type == route.Unset:
		return " (see HTTP_PROXY, HTTPS_PROXY of the environment)"
	}
	return ""
}

// identity returns the identity of the secret that the route to an origin sends. It is empty if there is no secret.
func (r *Route) identity(o endpoint) lockouts.Identity {
	logon := r.Settings.Logon()
	isBypassed := r.Settings.Type == route.HTTP && r.proxyOf(o) == nil && r.proxyOfTokens() == nil // by NO_PROXY
	if logon.Setting == "" || isBypassed {
		return lockouts.Identity{}
	}
	origin := strings.ToLower(logon.Endpoint)
	if logon.Setting == route.NamePassword {
		origin = lockouts.ProxyOrigin + origin
	}
	return lockouts.Identity{Origin: origin, User: logon.User, Secret: logon.Secret}
}

// checksOnConnect reports whether a connection proves the route's secret: absolute-form proxies check each request.
func (r *Route) checksOnConnect() bool { return !r.AbsoluteForm || r.Settings.Type != route.HTTP }

// statusOfAnswer returns the status for the gate of the route's secret if a request was answered; zero proves nothing.
func (r *Route) statusOfAnswer(status int) int {
	switch {
	case r.checksOnConnect():
		return http.StatusOK
	case status == http.StatusProxyAuthRequired:
		return http.StatusUnauthorized
	case status == http.StatusUnauthorized: // it may be the service's
		return 0
	}
	return status
}

// statusOfError returns the status for the gate of the route's secret if a connection failed: 401, or zero.
func (r *Route) statusOfError(err error) int {
	connect, isConnect := errors.AsType[*proxyError](err)
	socks, isSOCKS := errors.AsType[*route.LogonRefused](err)
	token, isFailure := errors.AsType[*btp.Failure](err) // of SAP Connectivity
	if (isConnect && connect.isLogonRefused()) || (isSOCKS && socks.Rejected()) ||
		(isFailure && token.Kind == btp.Unauthorized) {
		return http.StatusUnauthorized
	}
	return 0
}

// statusOfTokenError returns the status for the route's gate if no token could be requested through its proxy.
func (r *Route) statusOfTokenError(err error) int {
	failure, ok := errors.AsType[*btp.Failure](err)
	if ok && failure.Kind == btp.Unauthorized { // the service's
		return 0
	}
	if ok && failure.Status == http.StatusProxyAuthRequired && r.Settings.Type == route.HTTP {
		return http.StatusUnauthorized
	}
	return r.statusOfError(err)
}

// proxyHint names the proxy if a 401 may come from it; "" without credentials of a proxy.
func (r *Route) proxyHint() string {
	if !r.AbsoluteForm || r.Settings.Type != route.HTTP || r.Settings.User == "" {
		return ""
	}
	return ", by the service or by the proxy" + r.credentialsHint() + ","
}

// readRoute reads the settings of the network route and creates it.
func readRoute(c *Config, roles Roles, environment Environment) error {
	settings, err := routeSettings(c, roles, environment)
	if err != nil {
		return err
	}
	r, err := route.New(settings)
	if err != nil {
		f := errorf(wit.ErrorConfig, "%v", err)
		if m, ok := errors.AsType[*route.Misconfigured](err); ok {
			f.Message = strings.TrimPrefix(f.Message, m.Setting+": ")
			f.Setting = &m.Setting
		}
		return f
	}
	c.Route = Route{RoundTripper: r.RoundTripper, Settings: settings, resolved: r}
	if c.Route.httpOnly() && c.Scheme != "http" {
		return settingError(roles, role.Scheme,
			"expected http for %s = %s, found https: this proxy supports http only, the Cloud "+
				"Connector uses TLS to the service",
			roles.Setting(role.ProxyType), r.Type())
	}
	if strings.HasPrefix(r.Type(), route.Connectivity) {
		c.Route.Outage = max(0, settings.Outage)
		c.Route.Network = strings.TrimSpace(r.Type() + " " + strings.Join(settings.Locations, ","))
	}
	if c.Scheme == "http" && c.Address != "" {
		o, err := c.origin()
		if err != nil {
			return err
		}
		c.Route.AbsoluteForm = c.Route.usesAbsoluteForm(o)
	}
	return nil
}

func routeSettings(c *Config, roles Roles, environment Environment) (route.Settings, error) {
	setting := func(short string) string { return roles.Text(role.Proxy + short) }
	name := func(short string) string { return roles.Setting(role.Proxy + short) }
	settings, err := route.SettingsOf(setting, name, environment.VCAP, environment.VCAPErr)
	settings.Attempt = c.ConnectTimeout
	settings.Logger = environment.Logger
	if err != nil {
		return settings, invalidValue(roles, role.ProxyAddressMap, setting(route.NameAddressMap), err)
	}
	r := roleReader{roles: roles}
	settings.Outage = route.DefaultOutage
	if setting(route.NameOutage) != "" {
		if settings.Outage = r.milliseconds(role.Proxy + route.NameOutage); settings.Outage == 0 {
			settings.Outage = -1 // one attempt per location
		}
	}
	if slices.Contains([]string{"", route.None, route.SOCKS5, route.HTTP}, settings.Type) &&
		roles.IsSet(role.Proxy+route.NameOutage) {
		return settings, settingError(roles, role.Proxy+route.NameOutage,
			"expected a type of SAP Connectivity with it, found %s = %s",
			roles.Setting(role.ProxyType), orNothing(settings.Type))
	}
	return settings, r.err
}

func (r *Route) httpOnly() bool {
	return r.resolved != nil && r.resolved.Type() == route.ConnectivityHTTP
}

func (r *Route) usesAbsoluteForm(o endpoint) bool {
	proxy := r.proxyOf(o)
	return proxy != nil && o.scheme == "http" && strings.HasPrefix(proxy.Scheme, "http")
}

func (r *Route) proxyOf(o endpoint) *url.URL {
	return r.proxyFor(&url.URL{Scheme: o.scheme, Host: o.authority()})
}

func (r *Route) proxyOfTokens() *url.URL {
	if r.tokenURL == nil {
		return nil
	}
	return r.proxyFor(r.tokenURL)
}

func (r *Route) proxyFor(u *url.URL) *url.URL {
	if r.resolved == nil || r.resolved.HTTPProxy() == nil {
		return nil
	}
	proxy, err := r.resolved.HTTPProxy().URL(&http.Request{URL: u})
	if err != nil {
		return nil
	}
	return proxy
}
