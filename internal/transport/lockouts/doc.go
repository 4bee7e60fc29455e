// Package lockouts keeps SAP, or the directory of a proxy, from locking a user: a secret that was refused (401, 407) is
// not sent again before it changes or an operator resumes it (RATIONALE.md P10). A [Store] holds the refusals and a
// [Gate] for each secret. Logons of a user go through its gates one at a time; requests with a secret that was accepted
// within [trustPeriod] run concurrently. A 401 in a session that may have expired raises a [Recheck], during which one
// request logs on and no other is sent. Requests look refusals up, but not in the second after an acceptance.
//
// Files contain times and slow, salted hashes. In a group, logons need permission of [Group], so that a wrong secret
// fails at most twice: for the worker with permission, and again if that worker was lost. In addition, requests
// can fail that were in flight when a session ended, or whose worker had not read yet that another one rechecks.
//
// gate.go, recheck.go: gates; lookups.go: when a gate reads refusals. store.go, file.go: refusals and their files;
// owner_unix.go, owner_other.go: whose files count.
//
// Lock order, outermost first: Gate.exclusive (the service's, then the proxy's), the group's permission, the lock file,
// Gate.mu, Store.mu. A request that waits for a recheck holds none of them.
package lockouts
