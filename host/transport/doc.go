// Package transport makes the HTTP exchanges that plugins ask for: one service, one user, sessions, tokens, retries,
// time limits. It does not know what the bodies mean.
//
// Where to look, from what all use to the way of a request:
//
//   - config.go, roles.go, names.go: [Config] and its parts, what they are read from, and what users call the settings;
//     endpoint.go: an origin, and targets on it; shown.go: what messages and guests see of a text; header.go: headers
//     of both ways; retry.go: how often something is repeated and after what pause.
//   - settings.go, with route.go, tls.go, origins.go, auth.go, login.go (which the host makes itself) and
//     credentials.go: how a Config is read.
//   - destination.go: what a Config comes to; open.go: how one is made and left, and logoff.go; connection.go: how it
//     is dialled; shared.go: what clients of an origin share; logon.go: who logs on.
//   - client.go, exchange.go, answer.go: [Client], a request with what the host adds, [Answer]; sapquery.go: which SAP
//     client both may name; secrets.go: what goes with a request and stands in no text; mask.go: nor in a body.
//   - pass.go and before.go: when a request may go; send.go, body.go, handover.go: one exchange, once; lost.go: why no
//     answer came; outage.go and trace.go: what logs say of it.
//   - repetition.go: [Client.Do], what is sent again, decided by the answer, rule by rule; fetch.go: the requests of a
//     plugin's function.
//
// Below it: package session (cookies and CSRF tokens), lockouts (refused secrets), limits (how much an origin is
// asked), route, socks and btp.
//
// Invariants:
//
//   - A request that must not be sent twice is sent again only where the service cannot have acted on it; else it
//     ends as [NoResponseError].
//   - A secret goes to the origin that the user names for it, and stands in no log, message or answer. A refused one
//     is not sent again before it changes (P10).
//   - Nothing that a plugin says decides where a byte goes: targets are of the service, or of an origin that the user
//     names.
//   - Settings are asked for once for each request that is sent. Those under way end as they began.
//   - Every wait ends with its context, and every loop over bytes from outside is bounded.
//
// Locks, from the outside in: Client.changing, Destinations.mu or handovers.mu, limits.Limiter.mu,
// session.Store.mu; those of package lockouts are taken and released within it.
package transport
