// Package conversion has what all converters share: the [Converter] interface, the limits of a conversion, the cache of
// compiled schemas, helpers for schema nodes, and Java's character sets ([Charset]). Converters with a schema registry
// also share the subjects and IDs of schemas ([Schemas]) and the decoders of values ([DecoderCache]).
package conversion
