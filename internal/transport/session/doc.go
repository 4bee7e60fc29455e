// Package session manages sessions at services: cookies and CSRF tokens. A [Store] has a [Pool] for each identity at an
// origin; requests take a [Session] from it.
//
// Invariants: there are no more sessions than concurrent requests, since SAP systems limit sessions (RATIONALE.md P11).
// A CSRF token is only used with the cookies of its generation, that of the response with the token. A session that
// [Pool.Replace] has removed is used by no new request. The pages of a read use one session until it ends, see
// [Affinity]; only they wait for a session. Cookies are bounded in number and size. Lock order:
// tokens.lock, Store.mu, jar.mu; requests hold tokens.lock while they wait for a logon, so a logon does not need it.
package session
