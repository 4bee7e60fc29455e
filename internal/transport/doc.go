// Package transport sends the HTTP requests of plugins to one service with one logon. It handles sessions, tokens,
// retries and timeouts, and does not interpret bodies.
//
// Where to look, from what all use to the way of a request:
//
//   - config.go, roles.go, names.go: [Config], the roles it is read from, and the users' names of settings;
//     endpoint.go: an origin and targets on it; redact.go: texts without secrets; header.go: headers of both
//     directions; retry.go: the retry policy.
//   - settings.go, route.go, tls.go, origins.go, auth.go, login.go and credentials.go: how a Config is read.
//   - destination.go: a validated Config; open.go, logoff.go: its beginning and end; connection.go: dialing;
//     registry.go: what clients of an origin share; logon.go: the gates of its credentials.
//   - client.go, exchange.go, answer.go: [Client], a request, [Answer]; sapclient.go: the SAP client in requests;
//     secrets.go, mask.go: redaction of requests and bodies.
//   - permit.go, sendcheck.go: admission of requests; send.go, body.go, responses.go: one attempt; senderror.go: why
//     no answer arrived; outage.go, trace.go: logs.
//   - retryloop.go: [Client.Do]; fetch.go: requests of plugins' functions.
//
// Packages below: session (cookies and CSRF tokens), lockouts (refused secrets), limits, route, socks and btp.
//
// Invariants:
//
//   - A request that must not be sent twice is sent again only if the service cannot have processed it; otherwise
//     the error is [NoResponseError].
//   - A secret is sent only to the origin that the user configured for it, and never logged. A refused one is not
//     sent again before it changes (P10).
//   - Plugins cannot choose origins: targets are on the service, or on an origin of the settings.
//   - Settings are refreshed once per request. Requests in flight keep theirs.
//   - Every wait ends with its context, and every loop over external bytes is bounded.
//
// Lock order, outermost first: Client.changing, OriginRegistry.mu or responseTracker.mu, limits.Limiter.mu,
// session.Store.mu; package lockouts releases its locks before it returns.
package transport
