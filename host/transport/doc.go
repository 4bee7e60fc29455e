// Package transport makes the HTTP exchanges that plugins ask for: one service, one user, sessions, tokens, retries,
// time limits. It does not know what the bodies mean.
//
// Where to look, by the way of a request:
//
//   - client.go: [Client] and its settings, which are one value that is replaced whole; exchange, a request with what
//     the host adds.
//   - repetition.go: what is sent again, decided by the answer, rule by rule; retry.go: how often and after what
//     pause.
//   - config.go, roles.go, auth.go, route.go, tls.go, names.go: [Config], and how it is read from roles;
//     destination.go: what it comes to.
//   - origins.go: further origins that the user names; query.go: secrets in the query; login.go: a login that the
//     host makes.
//   - target.go, header.go, sapquery.go: what a guest may ask for, and what it sees of an answer; mask.go: of a body.
//   - shared.go: what clients of an origin share: how much it is asked (by package limits), session.go with
//     jar.go and token.go (cookies and CSRF tokens), outage.go (what the log says of a service that does not answer).
//   - logon.go: who logs on, for whom package lockouts knows whether the secret was refused.
//   - send.go and body.go: one exchange, once; before.go, handover.go: up to its answer; fetch.go: those of a
//     plugin's function; trace.go: what logs show.
//
// Invariants:
//
//   - A request that must not be sent twice is sent again only where the service cannot have acted on it; else it
//     ends as [NoAnswer].
//   - A secret goes to the origin that the user names for it, and stands in no log, message or answer. A refused one
//     is not sent again before it changes (P10).
//   - Nothing that a plugin says decides where a byte goes: targets are of the service, or of an origin that the user
//     names.
//   - Settings are asked for once for each request that is sent. Those under way end as they began.
//   - Every wait ends with its context, and every loop over bytes from outside is bounded.
//
// Locks, from the outside in: Client.changing, Destinations.mu or handovers.mu, limits.Limiter.mu or sessionStore.mu,
// jar.mu; those of package lockouts are taken and released within it.
package transport
