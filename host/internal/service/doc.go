// Package service is what a connector talks to: its service's address, how it logs on there, the proxy on the way, and
// the destination of BTP that may say all of that. It makes the HTTP client of a connector and keeps its settings up to
// date while tasks run.
//
// Where to look: service.go for settings and how changes of them reach a client, destination.go for destinations of
// BTP, waiting.go for what a failed task waits for, refusal.go for what users read when the service does not take who
// asks.
//
// Invariants: [New] and [Service.Check] send nothing; [Service.Open] asks the destination service alone. A change that
// comes to no usable settings leaves those before. A secret that was refused is not shown again by itself, neither to
// the service nor to whom a destination's tokens come from.
package service
