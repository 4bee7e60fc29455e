// Package completeness holds tests that read every service that a few independent dimensions describe, and compare what
// arrived with the rows that existed. It has tests only.
//
// dimensions_test.go lists the dimensions with their values, and the combinations that no service has. service_test.go
// answers requests as a combination of values demands, load_test.go reads a service to its end, through the pager, the
// decoder and delta mode. nothing-tells.tsv lists the services whose missing rows no affordable request shows.
package completeness
