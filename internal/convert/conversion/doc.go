// Package conversion is the ground that all converters stand on.
//
// Where to look:
//
//   - use.go: what a converter is, what it is made for, and the values and schemas of a batch that it is given.
//   - bounds.go: what a conversion may make of a record. cache.go: how much is kept of what schemas were compiled to.
//   - node.go: what is read off the nodes of schemas. schematext.go: the text of a schema while it is written.
package conversion
