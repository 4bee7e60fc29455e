// Package security connects clients to brokers: proxy, TLS and SASL, and which failures are permanent.
//
//   - settings.go: security.protocol, ssl.* and sasl.*, which package clientconfig declares and checks. access.go: what
//     they configure; stores.go: TLS; sasl.go, bearer.go: logons; proxy.go: kafka.proxy.*; currentvalues.go: secrets
//     that change in files.
//   - dialer.go: transient and permanent failures; probe.go: which protocol a broker speaks. denied.go: errors.
//     outages.go: unreachable brokers.
//   - wire.go: [Conn] sends single requests over one connection, without a client's pools, retries and metadata: to
//     authenticate a connection for someone else, and to find the step at which connecting fails.
//
// Invariants:
//
//   - No password, token or key is in an error or a log. Each logon reads its secret again.
//   - A wrong secret is tried a few times and then not before it changes. A broker that is away is waited for.
package security
