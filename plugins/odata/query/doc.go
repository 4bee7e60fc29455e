// Package query compiles the settings that select the rows of an entity set: conditions, projection and expansion,
// checked against the service's metadata. It builds the query options of requests and checks the rows of responses.
// OData v2 has no $filter inside of $expand, so conditions on expanded rows are applied here.
//
// Files; each uses only the ones before it:
//
//   - settings.go: the settings; level.go: the tree of expansions and projections.
//   - route.go: the path to a condition's property; condition.go: conditions in $filter syntax; compare.go: conditions
//     on values.
//   - query.go: [Compile] and the query options; rows.go: checks of rows.
package query
