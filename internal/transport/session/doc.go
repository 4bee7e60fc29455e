// Package session keeps what a service knows a client by between requests: cookies and CSRF tokens.
//
// Where to look:
//
//   - store.go: [Store], the sessions at an origin, and [Pool], those of one identity: who gets which.
//   - session.go: [Session], its generations, and the tokens that were fetched in them.
//   - jar.go: the cookies of one session.
//
// Invariants:
//
//   - A session has one logon at a time, and there are no more sessions than requests at a time (P11).
//   - A token is used in the generation that it was fetched in, with its cookies alone.
//   - Of one session one token is fetched at a time. Generations begin by [Session.Restart] under the turn of tokens.
//   - What a service sets is bounded in number and size.
//
// Locks, from the outside in: the turn of a session's tokens, Store.mu, jar.mu.
package session
