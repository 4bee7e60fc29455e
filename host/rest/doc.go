// Package rest answers Kafka Connect's REST API, and below /culvert/ what Kafka Connect has no resources for. Statuses,
// bodies and error texts are those that a real worker was recorded to give, because tools depend on them.
//
// Where to look:
//
//   - routes.go: the table of all routes, which is the only place that names one. A new route is a row there and a
//     method of exchange. route.go: what a row says. openapi.go: the document made of it.
//   - server.go: listeners; options.go: their settings; worker.go: what a worker is for this package. handler.go: from
//     a request to its row. exchange.go: one request and the forms of answers; body.go: what is sent.
//   - connectors.go: what is shown of connectors. listing.go: all of them, by urgency. flow.go: where a connector's
//     time goes. origins.go: what is used of services.
//   - comparison.go: configurations as text, their versions, and what storing one would mean.
//   - change.go, validate.go, steer.go, offsets.go, loggers.go: routes of Kafka Connect's.
//   - samples.go: records before and after each transform, and commands of plugins; sampling.go: types of their
//     answers.
//   - culvert.go, operate.go, letters.go, log.go: plugins and the folder of connectors, what operators do, dead
//     letters, the last lines of the log.
//   - guard.go, others.go: which Host a request may name. access.go, users.go, changes.go, tls.go: who may ask and
//     change, and what the log says of changes.
//   - pages.go: where the console is found. client.go: the client that the console and commands use.
//   - forward.go: which worker of a cluster answers, and how another one is asked. signed.go: what workers ask of each
//     other.
//
// Invariants: a request is answered once, in the form that Kafka Connect has for it. What config providers gave is
// struck out of every text. A request whose Host may be that of a page in a browser sees no passwords and changes
// nothing. Users and workers ask for different things: no header makes a user's request one of a worker.
package rest
