// Package lockouts is the gate in front of services' logons: a secret that a service refused (401) is not sent again,
// because SAP locks users after a few failures (P10).
//
// Each user of an origin and SAP client has one gate. It lets one logon through at a time. It is shut for a secret
// after one refusal, until the secret is another one or an operator resumes. A secret that was accepted within
// [trustPeriod] is no longer a logon: requests with it go side by side.
//
//   - store.go: [Store], the gates of a process, and what an operator sees of them. logon.go: [Gate], a secret at its
//     gate, and when a request may be sent. file.go: the file of refusals.
//   - owner_unix.go and owner_other.go: who owns a file.
//
// Invariants:
//
//   - A refused secret is not sent before it changes or an operator resumes, by no connector, command or restart; also
//     if its refusal can't be written to the file, as long as the process lives.
//   - Neither a name nor the content of a file says who was refused where: there are times and salted, slow digests.
//   - In a group, first logons and logons after a minute of silence need the turn of [Group], so that a wrong secret
//     fails twice at most in the whole group: once for who had the turn, and once more if that worker was lost.
//
// Locks, from the outside in: the turn of a gate, the group's turn, the lock file; Logon.mu, Store.mu.
package lockouts
