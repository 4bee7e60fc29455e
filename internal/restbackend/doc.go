// Package restbackend implements [rest.Worker]: the REST view of a worker, while it starts and after.
//
// A [Backend] reads what the worker has opened so far from [Parts] for each request. A change of a connector is checked
// (checkConfig), stored and applied (write) while it holds the lock of the [reload.Reloader]. The service of a running
// connector is called before that (checkAhead), so that no other change waits for it.
//
// Invariants: what is stored is exactly what was checked. A connector that comes from a file is changed there only. The
// target state is stored before the request is answered.
package restbackend
