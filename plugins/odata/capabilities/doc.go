// Package capabilities holds what the sink knows of its services: the connector as it was opened, and what responses
// have shown since.
//
// State is the decoded form of the plugin's context, which the host passes to each call. Pack encodes it, and Cache
// decodes it. Facts that checks of later runs depend on are also stored with the committed offsets, as wit.Known.
//
// Invariants: capabilities are learned from responses only. They are lost with the context, except for wit.Known. A
// Connector never changes, and several states share it.
package capabilities
