// Package lockouts remembers which secrets were refused, so that a wrong one is sent once and not until the user is
// locked (P10).
//
// A secret that its origin has accepted lately may be refused by one application server of several, which is starting
// or stopping. So it is in doubt at first: nothing is sent with it for a moment, then one request tries it in a session
// of its own, and what that is answered counts for all. Where that request asked for something else than the one that
// was refused, its acceptance is no proof: a service may take anybody's reads and look at the secret of writes alone.
// So what was refused stays on trial until it is accepted: it is sent by one at a time, in a fresh session, and another
// refusal of anything is the last. When the secret was accepted, that it is in doubt or on trial, and that it is being
// tried, stands in the folder of refusals: a command next to a worker would else condemn what works there, and each
// of 20 connectors in as many processes would try.
//
// Where to look:
//
//   - store.go: [Store], what all clients share, and its folder; owner_unix.go and owner_other.go: whose that is.
//   - permit.go: [Permit] and the wait for it: first logons to one origin go one after another.
//   - logon.go: [Logon], what is known of one secret and how an answer changes it, in memory and in its files.
//   - shared.go: [Shared], what workers of a cluster find out together.
//   - verdict.go: what is thought of a secret, without a lock: its states, and which requests try it.
//
// Invariants:
//
//   - A secret that counts as refused is not sent before an operator says so, or it changes: also where its file can't
//     be read or written.
//   - A second try is noted before it is sent, so that who dies in it leaves no third one to others.
//   - Neither names nor contents of the files say who was refused where.
//
// In a cluster a first logon, the first request after a minute of silence, and the second try of a secret in doubt,
// need the leave of [Shared], too: each worker would be refused once without it. A refusal that it knows of is written
// to the folder as one of this process, for commands of the machine. A secret that this process has seen accepted
// within the minute needs no leave, unless it is in doubt.
//
// Locks, from the outside in: Store.mu, Logon.mu, those of Shared. Whose turn it is to ask the cluster, its leave, the
// turn at an origin, and the lock of an origin's file, are taken before them, in this order.
package lockouts
