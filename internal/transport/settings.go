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

// ConfigOf reads a configuration from roles and opens key stores. Errors are *wit.Error of kind config.
func ConfigOf(roles Roles, environment Environment) (Config, error) {
	if environment.Logger == nil {
		environment.Logger = slog.New(slog.DiscardHandler)
	}
	r := roleReader{roles: roles}
	// nameOf returns the user's name of a role's setting, for messages, or "".
	nameOf := func(name string) string {
		if setting := roles.Setting(name); setting != name { // the role has a setting
			return setting
		}
		return ""
	}
	names := settingNames{scheme: nameOf(role.Scheme), address: nameOf(role.Address), port: nameOf(role.Port),
		connections: nameOf(role.MaxConnections)}
	if roles.Text(role.Destination) != "" {
		names.destination = nameOf(role.Destination)
	}
	c := Config{
		Service: Service{
			Scheme:  strings.ToLower(roles.Text(role.Scheme)),
			Address: withoutBrackets(roles.Text(role.Address)),
			Port:    r.number(role.Port),
		},
		Credentials: Credentials{
			User:     roles.Text(role.User),
			Password: roles.Text(role.Password),
			Headers:  roles.Prefix(role.Header),
		},
		ConnectTimeout: r.milliseconds(role.ConnectTimeoutMS),
		ReadTimeout:    r.milliseconds(role.ReadTimeoutMS),
		Retry: Retry{
			MinBackoff: r.milliseconds(role.RetryMinBackoffMS),
			MaxBackoff: r.milliseconds(role.RetryMaxBackoffMS),
		},
		Shared: environment.Shared,
		names:  names,
	}
	c.Retry.Codes = splitCodes(roles.Text(role.RetryCodes))
	if len(c.Retry.Codes) == 0 && !roles.IsSet(role.RetryCodes) {
		c.Retry.Codes = nil // default: the plugin does not declare the role
	}
	if roles.Text(role.RetryMax) != "" {
		retries := r.number(role.RetryMax)
		c.Retry.Max = &retries
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
	for _, read := range []func(*Config, Roles, Environment) error{readTLS, readRoute, readOrigins, readSecretQuery,
		readAuth, readLimits} {
		if err := read(&c, roles, environment); err != nil {
			return c, err
		}
	}
	return c, nil
}

func readLimits(c *Config, roles Roles, _ Environment) (err error) {
	r := roleReader{roles: roles}
	c.Limits = limits.Limits{Concurrent: r.number(role.MaxConcurrent), Connections: r.number(role.MaxConnections)}
	c.Limits.PerSecond = r.decimal(role.RequestsPerSecond)
	c.ClientInQuery = r.equals(role.ClientIn, "query")
	if r.err != nil {
		return r.err
	}
	if c.Limits.Windows, err = limits.ParseWindows(roles.Text(role.MaintenanceWindows)); err != nil {
		return invalidValue(roles, role.MaintenanceWindows, roles.Text(role.MaintenanceWindows), err)
	}
	c.LogoffPath = strings.TrimSpace(roles.Text(role.LogoffPath))
	if c.LogoffPath == "" {
		return nil
	}
	if !strings.HasPrefix(c.LogoffPath, "/") || strings.ContainsAny(c.LogoffPath, "\r\n\x00# ") {
		return invalidValue(roles, role.LogoffPath, c.LogoffPath, errors.New("expected a path that starts with /"))
	}
	return nil
}

func readSecretQuery(c *Config, roles Roles, _ Environment) error {
	secrets := roles.Prefix(role.Query)
	if len(secrets) == 0 {
		return nil
	}
	c.SecretQuery = secrets
	for _, name := range slices.Sorted(maps.Keys(c.SecretQuery)) {
		if slices.Contains(sapParameters, normalizeParameter(name)) {
			return settingError(roles, role.Query+name,
				"%s cannot be set here, it is used to log on: use its own setting, if any", name)
		}
	}
	return nil
}

// sapParameters are the parameters by which SAP systems log on. Refusals are stored per client and user.
var sapParameters = []string{sapClient, "sap-language", sapUser, sapPassword}
