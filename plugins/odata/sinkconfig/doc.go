// Package sinkconfig declares, validates and parses the settings of the OData sink.
//
// A [Component] is a connector class, one for each version of OData, whose Table declares the settings.
// [Component.Validate] checks them without a service. [Component.Parse] returns a [Config], which specifies how to
// write, and [EntitySets] returns the entity sets and their topics.
//
// Invariants: a topic belongs to one entity set. A Config does not change while the connector runs.
package sinkconfig
