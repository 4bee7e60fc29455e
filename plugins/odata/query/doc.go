// Package query compiles the settings that select the rows of an entity set: conditions, projection and expansion,
// checked against the service's metadata ([Compile]). It builds the query options of requests and checks the rows of
// responses ([RowChecker]). OData v2 has no $filter inside of $expand, so conditions on expanded rows are applied here.
//
// level.go is the tree of expansions, route.go the path to a condition's property, compare.go compares values.
package query
