// Package notify is the listener for push notifications: one for all connectors of a worker that may share a port. It
// knows no service and no plugin: what comes under a path is handed to whoever has registered that.
//
// Everybody may send here. Bodies, each and together, headers, connections, requests at a time and the time that one
// may take are bounded; what is wrong is answered 4xx, what there is no room for 503 with Retry-After, and both are
// counted and logged.
package notify
