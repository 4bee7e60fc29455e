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

	"github.com/culvert-project/culvert/internal/config"
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

	mu     sync.Mutex
	found  btp.Destination
	logged bool // which settings go before it
}

// newNamedDestination sends nothing.
func newNamedDestination(roles config.Roles, log *slog.Logger) (*namedDestination, error) {
	setting := roles.Setting(role.Destination)
	wrong := func(format string, args ...any) error {
		return &wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf(format, args...), Setting: &setting}
	}
	vcap, err := btp.ReadVCAP()
	if err != nil {
		return nil, wrong("%v", err)
	}
	if vcap == "" {
		return nil, wrong("expected a binding of the destination service in %s, found no such variable", vcapServices)
	}
	services, err := btp.ParseVCAP(vcap)
	if err != nil {
		return nil, wrong("%v", err)
	}
	if services.Destination == nil {
		return nil, wrong("expected a binding of the destination service in %s, found none", vcapServices)
	}
	for _, w := range services.Warnings {
		log.Warn(w)
	}
	destinations, err := btp.NewDestinations(*services.Destination, btp.TokenOptions{Logger: log})
	if err != nil {
		return nil, wrong("%v", err)
	}
	return &namedDestination{name: roles.Text(role.Destination), destinations: destinations, log: log}, nil
}

// find fetches the destination and reports whether anything but tokens has changed.
func (n *namedDestination) find(ctx context.Context) (changed bool, err error) {
	found, err := n.destinations.Find(ctx, n.name)
	var failure *btp.Failure
	switch {
	case errors.As(err, &failure) && failure.Temporary() && n.known():
		n.log.Warn("the destination service does not respond; its last answer stays in use", "destination", n.name,
			"error", err)
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil:
		return false, n.asError(err)
	}
	found.Token = withoutTokenValue(found.Token)
	n.mu.Lock()
	defer n.mu.Unlock()
	if reflect.DeepEqual(n.found, found) {
		return false, nil
	}
	n.found = found
	return true, nil
}

func (n *namedDestination) known() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.found.Name != ""
}

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

// Authorize returns the delivered token.
func (n *namedDestination) Authorize(ctx context.Context, refused string) (name, value string, err error) {
	found, err := n.destinations.Find(ctx, n.name)
	if err == nil && refused != "" && found.Token != nil && found.Token.Value == refused {
		found, err = n.destinations.Renew(ctx, n.name, refused)
	}
	if err != nil {
		return "", "", err
	}
	if found.Token == nil {
		return "", "", n.asError(errors.New("it no longer delivers a token"))
	}
	return found.Token.Header, found.Token.Value, nil
}

// config merges the destination with the settings, which take precedence.
func (n *namedDestination) config(roles config.Roles, environment transport.Environment) (transport.Config, error) {
	n.mu.Lock()
	found := n.found
	n.mu.Unlock()
	merged := mergedRoles{roles, values(&found, roles)}
	n.logOverrides(merged)
	if found.Token != nil && !merged.hasLogon() {
		environment.Authorizer = n
		environment.Identity = transport.Identity{User: "destination " + n.name,
			Secret: fmt.Sprintf("%s %s %x", found.URL, n.name, found.Digest)}
	}
	environment.Key = found.Keystore
	environment.Trust = found.Truststore
	environment.TrustAll = found.TrustAll
	c, err := transport.ConfigOf(merged, environment)
	if err != nil {
		return c, fmt.Errorf("destination %s: %w", n.name, err)
	}
	c.Prefix = found.Path
	c.Query = found.Query
	return c, nil
}

// placeholder returns settings with an invalid address, for checks before the destination is fetched.
func (n *namedDestination) placeholder(roles config.Roles) transport.Roles {
	return mergedRoles{roles, map[string]string{role.Address: "destination." + n.name + ".invalid"}}
}

func (n *namedDestination) logOverrides(merged mergedRoles) {
	var overriding []string
	for role, value := range merged.values {
		if merged.Roles.IsSet(role) && merged.Roles.Text(role) != value {
			overriding = append(overriding, merged.Roles.Setting(role))
		}
	}
	slices.Sort(overriding)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.logged {
		n.log.Info("the service is reached by a BTP destination", "destination", n.name, "type", n.found.Type,
			"authentication", n.found.Authentication, "proxy", n.found.ProxyType,
			"settings that go before it", overriding)
	}
	n.logged = true
}

// values returns the destination's values by role.
func values(destination *btp.Destination, roles config.Roles) map[string]string {
	merged := map[string]string{role.Address: destination.Host, role.Port: strconv.Itoa(destination.Port),
		role.Header + "sap-client":   destination.Client,
		role.Header + "sap-language": destination.Language}
	if destination.Scheme == "http" || destination.Scheme == "https" {
		merged[role.Scheme] = destination.Scheme
	}
	for name := range destination.Headers {
		merged[role.Header+strings.ToLower(name)] = destination.Headers.Get(name)
	}
	if destination.ProxyType == "OnPremise" && !roles.IsSet(role.ProxyType) {
		scheme := merged[role.Scheme]
		if roles.IsSet(role.Scheme) || scheme == "" {
			scheme = roles.Text(role.Scheme)
		}
		merged[role.ProxyType] = route.ConnectivitySOCKS5
		if scheme == "http" {
			merged[role.ProxyType] = route.ConnectivityHTTP
		}
		merged[role.ProxyLocationID] = destination.LocationID
	}
	switch {
	case roles.IsSet(role.Auth) || roles.IsSet(role.User):
	case destination.User != "" || destination.Authentication == "BasicAuthentication":
		merged[role.Auth] = transport.AuthBasic
		merged[role.User] = destination.User
		merged[role.Password] = destination.Password
	case destination.Token != nil:
		merged[role.Auth] = transport.AuthOAuth2
	case destination.Keystore != nil:
		merged[role.Auth] = transport.AuthCertificate
	default:
		merged[role.Auth] = transport.AuthNone
	}
	return merged
}

type mergedRoles struct {
	config.Roles
	values map[string]string
}

func (m mergedRoles) hasLogon() bool { return m.Roles.IsSet(role.Auth) || m.Roles.IsSet(role.User) }

func (m mergedRoles) Text(role string) string {
	if v := m.values[role]; v != "" && !m.Roles.IsSet(role) {
		return v
	}
	return m.Roles.Text(role)
}

func (m mergedRoles) Prefix(prefix string) map[string]string {
	all := map[string]string{}
	for role, v := range m.values {
		if name, ok := strings.CutPrefix(role, prefix); ok && v != "" {
			all[name] = v
		}
	}
	for name, v := range m.Roles.Prefix(prefix) {
		all[name] = v
	}
	return all
}
