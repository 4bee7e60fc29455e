// Package sink is the OData v2 sink plugin. It does no I/O: the host sends the requests and passes the responses on.
//
// Open reads $metadata and returns the context, see package capabilities. Package requests turns rows into deliveries,
// and package responses turns the responses into results. Package sinkconfig has the settings, package entityset the
// entity sets, package encode the bodies and keys, and package rowvalue the values of rows.
//
// Invariants: the plugin keeps caches only, so every call works in every instance.
package sink
