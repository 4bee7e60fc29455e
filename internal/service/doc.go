// Package service provides the HTTP client of a connector from the settings and from a BTP destination: address, logon
// and proxy of the service. It updates the client while tasks run.
//
// Invariants: [New] and [Service.Check] send nothing, [Service.Open] calls only the destination service. A change with
// invalid settings is ignored. A refused secret is not sent again automatically, neither to the service nor to a token
// service.
package service
