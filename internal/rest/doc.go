// Package rest serves Kafka Connect's REST API, and Culvert's own routes below /culvert/. Statuses, bodies and error
// texts are recorded from a real Kafka Connect worker, because tools depend on them.
//
// A [Server] accepts connections for a [Worker]. A request passes the access checks, is matched to its row in the table
// of routes, and is answered by a method of request, on this worker or on the target in its group.
//
//   - Requests: server.go and options.go (listeners), handler.go, routes.go (the table of routes), route.go,
//     request.go, body.go, heldanswers.go (memory), openapi.go (the document of all routes), worker.go (the interface
//     to the worker).
//   - Access: hosts.go, hostguard.go (Host), access.go, users.go, tls.go, changelog.go (the log of changes),
//     withheld.go (texts that quote records).
//   - Routes that show: connectors.go, connectorlist.go, flow.go, events.go, origins.go, log.go, samples.go,
//     sampling.go (types).
//   - Routes that change: configs.go, diff.go, validate.go, targetstate.go, offsets.go, loggers.go, plugins.go,
//     lockouts.go, deadletters.go, letterpage.go.
//   - Groups: cluster.go (types), forward.go (which worker answers), fanout.go (queries to all workers), session.go
//     (signed calls).
//   - Console and commands: pages.go, client.go.
//
// Invariants: a request is answered once, in Kafka Connect's form. The answer to a change of a connector waits until
// this worker's next answers contain the change, for viewTimeout at most. Values from config providers are redacted in
// every text. A request whose Host may be that of a web page sees no passwords and no values of records, and changes
// nothing. No header turns a user's request into a call of a worker.
package rest
