// Package security holds how a client comes to its brokers: by a proxy or directly, with TLS and a logon or without,
// and what it does when they do not let it in.
//
// Where to look:
//
//   - settings.go: the table of security.protocol, ssl.* and sasl.*, and what one kind of client has of them.
//     values.go: what their values may be.
//   - access.go: what is made of those, with stores.go for TLS, sasl.go with jaas.go and bearer.go for logons, proxy.go
//     for kafka.proxy.*. live.go: secrets that change in their files.
//   - dialer.go: failures that pass, which the client tries again, and those that do not, which end it; probe.go asks a
//     broker what it speaks. denied.go: their errors. outages.go: what is logged of brokers that are away.
//
// Invariants:
//
//   - No password, token or key stands in an error or a log. Each logon reads its secret again.
//   - A wrong secret is shown a few times and then not again before it changes. A broker that is away is waited for.
package security
