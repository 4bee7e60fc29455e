// Package rest serves Kafka Connect's REST API, and below /culvert/ what Kafka Connect has no resources for. Statuses,
// bodies and error texts are those recorded from a real Kafka Connect worker, because tools depend on them.
//
// A [Server] accepts connections for a [Worker]. A request passes the access checks, is matched to its row in the table
// of routes, and is answered by a method of request, on this worker or on the target in its group.
//
// Files:
//
//   - routes.go: the table of all routes. A new route is a row there and a method of request. route.go: what a row
//     contains. openapi.go: the document generated from it.
//   - server.go: listeners; options.go: their settings; worker.go: the interface to the worker. handler.go: from a
//     request to its route. request.go: one request and its responses; body.go: reading bodies.
//   - connectors.go: what is shown of connectors. listing.go: all of them, by urgency. flow.go: where a connector's
//     time goes. origins.go: use of services.
//   - diff.go: configurations as text, their versions, and the effect of storing one.
//   - configs.go, validate.go, targetstate.go, offsets.go, loggers.go: routes of Kafka Connect.
//   - samples.go: records before and after each transform, and commands of plugins; sampling.go: their types.
//   - plugins.go, lockouts.go, deadletters.go, log.go: plugins and the connector folder, refused logons, dead letters,
//     the last log lines.
//   - hosts.go, hostguard.go: which Host a request may name. access.go, users.go, changelog.go, tls.go: who may read
//
// and
//
//	  change, and what is logged of changes.
//	- pages.go: where the console is mounted. client.go: the client that the console and commands use.
//	- forward.go: which worker of a group answers, and forwarding to it. fanout.go: asking all workers. session.go:
//	  signed calls between workers.
//
// Invariants: a request is answered once, in Kafka Connect's form. Values from config providers are redacted in every
// text. A request whose Host may be that of a page in a browser sees no passwords and changes nothing. Calls of users
// and of workers are different: no header turns a user's request into a worker's.
package rest
