package transport

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/transport/btp"
	"github.com/culvert-project/culvert/wit"
)

// authentication is what the requests of a destination show.
type authentication struct {
	// fixed goes on each request, "" is nothing.
	fixed    string
	tokens   Authorizer
	identity Identity
	// header is where tokens stand, as far as that is known.
	header string
}

func headerIdentity(headers map[string]string) (id Identity) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !slices.Contains(publicHeaders, name) {
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
	if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
		return "", faultf(wit.ErrorUnauthorized, "token for the service: expected one without line breaks")
	}
	h.Set(name, value)
	return value, nil
}

// tokenFault is the fault of a token that was not to be had. refused: the secret that it is given for was refused.
func tokenFault(ctx context.Context, err error) (fault error, refused bool) {
	if ctx.Err() != nil {
		return context.Cause(ctx), false
	}
	if f, ok := err.(*wit.Error); ok {
		return f, false
	}
	if failure, ok := errors.AsType[*btp.Failure](err); ok {
		switch failure.Kind {
		case btp.Unauthorized:
			return faultf(wit.ErrorUnauthorized, "%v", err), true
		case btp.Unavailable:
			return faultf(wit.ErrorTransient, "%v", err), false
		}
	}
	return faultf(wit.ErrorConfig, "%v", err), false
}

// tokenHeader shows a token in a header.
type tokenHeader struct {
	tokens *btp.Tokens
	// name is the header, value what it says, with a place for the token.
	name, value string
}

// Authorize is the header with a token that is not the refused one.
func (s *tokenHeader) Authorize(ctx context.Context, refused string) (name, value string, err error) {
	before, after, _ := strings.Cut(s.value, tokenPlace)
	token, err := s.tokens.Token(ctx, strings.TrimSuffix(strings.TrimPrefix(refused, before), after))
	return s.name, before + token + after, err
}
