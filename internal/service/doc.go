// Package service provides the HTTP client of a connector: address, logon and proxy of its service, from the
// settings and from a BTP destination. It keeps the client's settings up to date while tasks run. Invariants: [New]
// and [Service.Check] send nothing, [Service.Open] asks only the destination service. A change that results in
// invalid settings is ignored. A refused secret is not sent again automatically, neither to the service nor to a
// token service.
package service
