// Package inspect answers the commands that look at a service.
//
// Where to look:
//
//   - inspect.go: the service, its entity sets, their schemas. peek.go: first rows as they will be in records.
//   - catalogue.go: the services of a system. subscriptions.go: the subscriptions of a user.
package inspect
