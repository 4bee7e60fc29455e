// Package transport is the HTTP client of the host: it sends the requests of plugins to one service with one logon, and
// handles sessions, CSRF tokens, retries, limits and timeouts. It does not interpret bodies.
//
//   - config.go: [Config]; it is read from settings by settings.go, route.go, tls.go, origins.go, credentials.go and
//     login.go, which use roles.go.
//   - destination.go: a validated Config; registry.go: what clients of an origin share.
//   - client.go: [Client]; retryloop.go: [Client.Do]; send.go, body.go: one attempt; csrf.go, redirect.go: its rules;
//     fetch.go: whole responses for plugins.
//   - sapclient.go, header.go, endpoint.go: checks of requests; secrets.go, redact.go, mask.go: redaction.
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
