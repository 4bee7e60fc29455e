// Package entityset describes the entity sets that the sink writes to. New checks a set against $metadata and the
// settings. An EntitySet is packed into the plugin's context, and Unpack restores it in each instance.
//
// Invariants: an EntitySet does not change. Its EntityHash is the same in all instances and versions of the plugin,
// and for all spellings of a key.
package entityset
