// Package sinkconfig declares, validates and parses the settings of the OData sink.
//
// Table declares the settings. Validate checks them without a service. Parse returns a Config, which specifies how to
// write, and EntitySets returns the entity sets and their topics.
//
// Invariants: a topic belongs to one entity set. A Config does not change while the connector runs.
package sinkconfig
