// Package capabilities holds what the sink knows of its services: the connector as it was opened, and what responses
// have shown since. State is the decoded form of the plugin's context, which the host passes to each call. Pack encodes
// it, and Cache decodes it.
//
// Invariants: capabilities are learned from responses only. They are lost with the context, except for facts that
// look-ups of later runs depend on (wit.Known). A Connector never changes, and several states share it.
package capabilities
