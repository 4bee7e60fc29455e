// Package notifications handles what a service reports about changed entities.
//
// [Subscribe] creates the subscriptions. [HandleNotification] turns a notification in Atom, JSON or headers into
// triggers. [Entity] reads an entity that a notification names; [Store] reads SAP's notification store.
//
// Invariants: a notification names the entity that changed, not its state, so the entity is read. A notification that
// cannot be understood is rejected, so that the service sends it again.
package notifications
