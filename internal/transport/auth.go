package transport

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/wit"
)

// authentication holds the credentials with which the requests of a destination log on.
type authentication struct {
	fixed    string     // a constant Authorization header, or ""
	tokens   Authorizer // nil without tokens
	identity Identity   // of the logon, with the secrets in the query
	headers  Identity   // of secret headers next to identity; a 401 is attributed to identity
}

// headerIdentity returns the identity whose secret is all secret headers; headers have names in lower case.
func headerIdentity(headers map[string]string) (id Identity) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !slices.Contains(publicHeaders, name) {
			id.Secret += name + ":" + headers[name] + "\n"
		}
	}
	return id
}

// tokenError converts the error of a request for a token or a BTP destination. refused reports that the credentials for
// it were rejected.
func tokenError(ctx context.Context, err error) (converted error, refused bool) {
	if ctx.Err() != nil {
		return context.Cause(ctx), false
	}
	if f, ok := err.(*wit.Error); ok {
		return f, false
	}
	if failure, ok := errors.AsType[*btp.Failure](err); ok {
		switch failure.Kind {
		case btp.Unauthorized:
			return errorf(wit.ErrorUnauthorized, "%v", err), true
		case btp.Unavailable:
			return errorf(wit.ErrorTransient, "%v", err), false
		}
	}
	return errorf(wit.ErrorConfig, "%v", err), false
}

// bearerTokens is the [Authorizer] of the tokens that a token service issues.
type bearerTokens struct{ *btp.Tokens }

// Authorize implements [Authorizer].
func (b bearerTokens) Authorize(ctx context.Context, refused string) (name, value string, err error) {
	const scheme = "Bearer "
	token, err := b.Token(ctx, strings.TrimPrefix(refused, scheme))
	return "Authorization", scheme + token, err
}
