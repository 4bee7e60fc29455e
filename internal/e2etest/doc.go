// Package e2etest runs the built program in tests: a place with its files and data, commands in it, a worker that is
// asked by REST, topics that are read back, services that misbehave. Only tests import it.
//
// Where to look:
//
//	program.go         the binary, built once for all packages; Place, Command, and what is expected of its Result
//	place.go           files with secrets, addresses where nobody listens
//	worker.go          a running worker and calls to its REST API
//	topics.go          connectors' settings, records that are produced and read
//	guests.go          plugins that are replaced, held up, or hostile
//	service.go         key stores, rows of the demo service
//	badservice.go      answers that are forged on the way
//	holdup.go          a service that blocks within a response, until it is released
//	notifications.go   a publisher of notifications
//	faults.go          brokers of their own, writes past what holds up answers
//	clusters.go        an embedded broker, clients, topics; peers_real.go has Apache Kafka and other peers
//	metrics.go         a scrape
//	doctor.go          the steps that `culvert doctor` prints
//
// Tests are in cmd/culvert/e2e: source (services and feeds), sink (records to a service, dead letters), delivery (what
// is lost or repeated, workers that form a group), operate (commands, REST, configuration), plugins (swap, fences,
// trust), console (its pages), real (software that is not ours). Tests against peers are files *_real_test.go.
package e2etest
