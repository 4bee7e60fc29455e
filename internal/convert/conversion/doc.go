// Package conversion has what all converters share: the [Converter] interface, the limits of a conversion, the cache of
// compiled schemas, and helpers for schema nodes.
package conversion
