// Package transport is the HTTP client of the host: it sends the requests of plugins to one service with one logon, and
// handles sessions, CSRF tokens, retries, limits and timeouts. It does not interpret bodies.
//
// Where to look:
//
//   - config.go: [Config]; settings.go, roles.go, names.go, route.go, tls.go, origins.go, auth.go and credentials.go
//     read it from settings.
//   - destination.go: a validated Config; open.go, logoff.go: its start and end; connection.go: dialing; registry.go,
//     logon.go: what clients share.
//   - client.go: [Client]; exchange.go, answer.go: a request and its answer; retryloop.go: [Client.Do]; csrf.go,
//     redirect.go, retry.go: its rules; fetch.go: whole answers for plugins.
//   - permit.go, sendcheck.go: admission of requests; send.go, body.go, responses.go, senderror.go: one attempt.
//   - sapclient.go, header.go, endpoint.go: checks of requests; secrets.go, redact.go, mask.go: redaction; outage.go:
//     logs.
//
// Invariants:
//
//   - A request that must not be repeated is repeated only if the service cannot have processed it; otherwise the error
//     is [NoResponseError].
//   - A secret is sent only to its origin and never logged. After a refusal it is not sent again before it changes
//     (RATIONALE.md P10).
//   - Plugins cannot choose origins: targets are on the service, or on an origin of the settings.
//   - Settings are refreshed once per request; requests in flight keep theirs.
//   - Every wait ends with its context, and every loop over external bytes is bounded.
//
// Lock order, outermost first: Client.changeLock, OriginRegistry.mu or responseTracker.mu, limits.Limiter.mu,
// session.Store.mu; package lockouts releases its locks before it returns.
package transport
