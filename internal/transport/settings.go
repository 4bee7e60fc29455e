package transport

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/limits"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// ConfigOf reads a configuration from roles. It opens key stores and sends nothing. Errors are *wit.Error of kind
// config that name the setting if possible.
func ConfigOf(roles Roles, s Environment) (Config, error) {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	r := roleReader{roles: roles}
	c := Config{
		Scheme: strings.ToLower(roles.Text(role.Scheme)), Address: withoutBrackets(roles.Text(role.Address)),
		Port: r.number(role.Port),
		User: roles.Text(role.User), Password: roles.Text(role.Password),
		Headers:        roles.Prefix(role.Header),
		ConnectTimeout: r.milliseconds(role.ConnectTimeoutMS), ReadTimeout: r.milliseconds(role.ReadTimeoutMS),
		Retry: Retry{
			MinBackoff: r.milliseconds(role.RetryMinBackoffMS), MaxBackoff: r.milliseconds(role.RetryMaxBackoffMS),
		},
		Logger: s.Logger, Lockouts: s.Lockouts, Destinations: s.Destinations, names: settingNamesOf(roles),
	}
	if c.Retry.Codes = splitCodes(roles.Text(role.RetryCodes)); len(c.Retry.Codes) == 0 &&
		!roles.IsSet(role.RetryCodes) {
		c.Retry.Codes = nil // a plugin need not declare them
	}
	if roles.Text(role.RetryMax) != "" {
		max := r.number(role.RetryMax)
		c.Retry.Max = &max
	}
	if c.Scheme == "" {
		c.Scheme = "https"
	}
	if c.Port == 0 && roles.Text(role.Port) == "" {
		c.Port = defaultPort(c.Scheme)
	}
	if r.err != nil {
		return c, r.err
	}
	for _, part := range []func(*Config, Roles, Environment) error{readTLS, readRoute, readOrigins, readSecretQuery,
		readAuth, readLimits} {
		if err := part(&c, roles, s); err != nil {
			return c, err
		}
	}
	return c, nil
}

// readLimits reads limits and the way to log off from roles.
func readLimits(c *Config, roles Roles, _ Environment) (err error) {
	r := roleReader{roles: roles}
	c.Limits = limits.Limits{Concurrent: r.number(role.MaxConcurrent), Connections: r.number(role.MaxConnections)}
	c.Limits.PerSecond = r.decimal(role.RequestsPerSecond)
	c.ClientInQuery = r.is(role.ClientIn, "query")
	if r.err != nil {
		return r.err
	}
	if c.Limits.Windows, err = limits.ParseWindows(roles.Text(role.MaintenanceWindows)); err != nil {
		return invalidValue(roles, role.MaintenanceWindows, roles.Text(role.MaintenanceWindows), err)
	}
	if c.LogoffPath = strings.TrimSpace(roles.Text(role.LogoffPath)); c.LogoffPath == "" {
		return nil
	}
	if !strings.HasPrefix(c.LogoffPath, "/") || strings.ContainsAny(c.LogoffPath, "\r\n\x00# ") {
		return invalidValue(roles, role.LogoffPath, c.LogoffPath, errors.New("expected a path that begins with /"))
	}
	return nil
}

// readSecretQuery reads the secrets that stand in the query from roles.
func readSecretQuery(c *Config, roles Roles, _ Environment) error {
	secrets := roles.Prefix(role.Query)
	if len(secrets) == 0 {
		return nil
	}
	c.SecretQuery = secrets
	for _, name := range slices.Sorted(maps.Keys(c.SecretQuery)) {
		if slices.Contains(sapParameters, normalizeParameter(name)) {
			return settingError(roles, role.Query+name,
				"%s has a setting of its own, or none: expected another parameter",
				name)
		}
	}
	return nil
}

// sapParameters are parameters by which SAP systems log on: client and language have settings of their own, and a
// refusal is noted for the user of settings.
var sapParameters = []string{sapClient, "sap-language", sapUser, sapPassword}
