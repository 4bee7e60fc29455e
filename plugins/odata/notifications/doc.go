// Package notifications reads what a service says about changed entities: notifications to the listener, those that SAP
// Gateway has stored, and the entities that they name. It makes the subscriptions that they come by.
//
// Where to look:
//
//   - notice.go: notifications in Atom, JSON and headers. subscription.go: how the service is had to send them.
//   - entity.go: an entity that a notification names. store.go: SAP's notification store.
//
// Invariants: a notification says which entity changed, never what it is: it is read. One that can't be understood is
// refused, so that the service sends it again.
package notifications
