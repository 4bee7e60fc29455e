package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

const vcapServices = "VCAP_SERVICES"

// namedDestination is the BTP destination of a connector. It is safe for concurrent use.
type namedDestination struct {
	name         string
	destinations *btp.Destinations
	log          *slog.Logger

	mu       sync.Mutex
	current  btp.Destination // without the token's value; empty until it is fetched
	isLogged bool            // see logOverrides
}

// newNamedDestination returns the destination that the settings name. It sends no request.
func newNamedDestination(roles resolved.Roles, log *slog.Logger) (*namedDestination, error) {
	setting := roles.Setting(role.Destination)
	configError := func(format string, args ...any) error {
		return &wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf(format, args...), Setting: &setting}
	}
	vcap, err := btp.ReadVCAP()
	if err != nil {
		return nil, configError("%v", err)
	}
	if vcap == "" {
		return nil, configError("expected a binding of the destination service in %s, found no such variable",
			vcapServices)
	}
	services, err := btp.ParseVCAP(vcap)
	if err != nil {
		return nil, configError("%v", err)
	}
	if services.Destination == nil {
		return nil, configError("expected a binding of the destination service in %s, found none", vcapServices)
	}
	for _, w := range services.Warnings {
		log.Warn(w)
	}
	destinations, err := btp.NewDestinations(*services.Destination, btp.TokenOptions{Logger: log})
	if err != nil {
		return nil, configError("%v", err)
	}
	return &namedDestination{name: roles.Text(role.Destination), destinations: destinations, log: log}, nil
}

// find fetches the destination into n.current and reports whether anything but the token's value has changed. While the
// destination service does not respond, a destination that was fetched before is kept.
func (n *namedDestination) find(ctx context.Context) (isChanged bool, err error) {
	destination, err := n.destinations.Find(ctx, n.name)
	var failure *btp.Failure
	switch {
	case errors.As(err, &failure) && failure.Temporary() && n.isFetched():
		n.log.Warn("the destination service does not respond; its last answer stays in use", "destination", n.name,
			"error", err)
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil:
		return false, n.asError(err)
	}
	destination.Token = withoutTokenValue(destination.Token)
	n.mu.Lock()
	defer n.mu.Unlock()
	if reflect.DeepEqual(n.current, destination) {
		return false, nil
	}
	n.current = destination
	return true, nil
}

func (n *namedDestination) isFetched() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current.Name != ""
}

// asError returns an error of the destination service with the kind that tasks expect.
func (n *namedDestination) asError(err error) error {
	kind := wit.ErrorConfig
	var failure *btp.Failure
	if errors.As(err, &failure) {
		switch failure.Kind {
		case btp.Unavailable:
			kind = wit.ErrorTransient
		case btp.Unauthorized:
			kind = wit.ErrorUnauthorized
		}
	}
	return &wit.Error{Kind: kind, Message: fmt.Sprintf("destination %s: %v", n.name, err)}
}

// withoutTokenValue keeps only the header name: the value expires and is fetched per request.
func withoutTokenValue(token *btp.DeliveredToken) *btp.DeliveredToken {
	if token == nil {
		return nil
	}
	return &btp.DeliveredToken{Header: token.Header}
}

// Authorize returns the header and value of the delivered token. It renews the token if refused is its value.
func (n *namedDestination) Authorize(ctx context.Context, refused string) (name, value string, err error) {
	destination, err := n.destinations.Find(ctx, n.name)
	if err == nil && refused != "" && destination.Token != nil && destination.Token.Value == refused {
		destination, err = n.destinations.Renew(ctx, n.name, refused)
	}
	if err != nil {
		return "", "", err
	}
	if destination.Token == nil {
		return "", "", n.asError(errors.New("it no longer delivers a token"))
	}
	return destination.Token.Header, destination.Token.Value, nil
}

// config merges the destination with the settings, which take precedence.
func (n *namedDestination) config(roles resolved.Roles, environment transport.Environment) (transport.Config, error) {
	n.mu.Lock()
	destination := n.current
	n.mu.Unlock()
	merged := mergedRoles{Roles: roles, values: destinationValues(&destination, roles)}
	n.logOverrides(merged)
	if destination.Token != nil && !merged.hasLogon() {
		environment.Authorizer = n
		// The digest also changes with the secrets for fetching tokens.
		environment.Identity = transport.Identity{User: "destination " + n.name,
			Secret: fmt.Sprintf("%s %s %x", destination.URL, n.name, destination.Digest)}
	}
	environment.Key = destination.Keystore
	environment.Trust = destination.Truststore
	environment.TrustAll = destination.TrustAll
	c, err := transport.ConfigOf(merged, environment)
	if err != nil {
		return c, fmt.Errorf("destination %s: %w", n.name, err)
	}
	c.Prefix = destination.Path
	c.Query = destination.Query
	return c, nil
}

// placeholder returns settings with an invalid address, for checks before the destination is fetched.
func (n *namedDestination) placeholder(roles resolved.Roles) transport.Roles {
	address := "destination." + n.name + ".invalid"
	return mergedRoles{Roles: roles, values: map[string]string{role.Address: address}}
}

// logOverrides logs once which settings override the destination.
func (n *namedDestination) logOverrides(merged mergedRoles) {
	var overriding []string
	for name, value := range merged.values {
		if merged.Roles.IsSet(name) && merged.Roles.Text(name) != value {
			overriding = append(overriding, merged.Roles.Setting(name))
		}
	}
	slices.Sort(overriding)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.isLogged {
		n.log.Info("the service is reached by a BTP destination", "destination", n.name, "type", n.current.Type,
			"authentication", n.current.Authentication, "proxy", n.current.ProxyType,
			"settings that go before it", overriding)
	}
	n.isLogged = true
}

// destinationValues returns the destination's values by role. They have a logon only if the settings have no logon.
func destinationValues(destination *btp.Destination, roles resolved.Roles) map[string]string {
	values := map[string]string{
		role.Address:                 destination.Host,
		role.Port:                    strconv.Itoa(destination.Port),
		role.Header + "sap-client":   destination.Client,
		role.Header + "sap-language": destination.Language,
	}
	if destination.Scheme == "http" || destination.Scheme == "https" {
		values[role.Scheme] = destination.Scheme
	}
	for name := range destination.Headers {
		values[role.Header+strings.ToLower(name)] = destination.Headers.Get(name)
	}
	if destination.ProxyType == "OnPremise" && !roles.IsSet(role.ProxyType) {
		scheme := values[role.Scheme] // unless the settings override it
		if roles.IsSet(role.Scheme) || scheme == "" {
			scheme = roles.Text(role.Scheme)
		}
		values[role.ProxyType] = route.ConnectivitySOCKS5
		if scheme == "http" {
			values[role.ProxyType] = route.ConnectivityHTTP
		}
		values[role.ProxyLocationID] = destination.LocationID
	}
	switch {
	case roles.IsSet(role.Auth) || roles.IsSet(role.User): // the connector's settings have a logon
	case destination.User != "" || destination.Authentication == "BasicAuthentication":
		values[role.Auth] = transport.AuthBasic
		values[role.User] = destination.User
		values[role.Password] = destination.Password
	case destination.Token != nil:
		values[role.Auth] = transport.AuthOAuth2
	case destination.Keystore != nil:
		values[role.Auth] = transport.AuthCertificate
	default:
		values[role.Auth] = transport.AuthNone
	}
	return values
}

// mergedRoles are the settings of a connector, with values of its destination, by role, for settings that are not set.
type mergedRoles struct {
	resolved.Roles
	values map[string]string
}

// hasLogon reports whether the connector's settings have a logon, which precedes the destination's.
func (m mergedRoles) hasLogon() bool { return m.Roles.IsSet(role.Auth) || m.Roles.IsSet(role.User) }

// Text returns the setting of a role, else the destination's value.
func (m mergedRoles) Text(name string) string {
	if v := m.values[name]; v != "" && !m.Roles.IsSet(name) {
		return v
	}
	return m.Roles.Text(name)
}

// Prefix returns the values of all roles that begin with a prefix, by their names without it.
func (m mergedRoles) Prefix(prefix string) map[string]string {
	values := map[string]string{}
	for name, v := range m.values {
		if short, ok := strings.CutPrefix(name, prefix); ok && v != "" {
			values[short] = v
		}
	}
	for short, v := range m.Roles.Prefix(prefix) {
		values[short] = v
	}
	return values
}
