// Package query says which rows of an entity set are read, and what of them: conditions, projection and expansion as
// settings name them, checked against the service's metadata. It makes the query options that ask a service for them,
// and looks whether the rows that come are the ones that were asked for. OData v2 has no $filter inside of $expand, so
// conditions on expanded rows are applied here.
//
// Where to look, from the lowest file up; none uses what stands in a later one:
//
//   - settings.go: what a user says; level.go: the tree of what is expanded, and what is chosen of it.
//   - route.go: the way to a condition's property; condition.go: a condition as a service is asked for it; compare.go:
//     whether a value meets it.
//   - query.go: [Compile], and the options that ask for the rows; rows.go: the rows that come.
package query
