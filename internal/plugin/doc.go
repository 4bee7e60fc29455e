// Package plugin runs plugins, which are WebAssembly modules: it finds and compiles module files, creates instances for
// connectors, limits their resources, and replaces versions by newer ones. It knows the contract, but neither OData nor
// Kafka.
//
// Loading a file: read ([binary.Read]), check imports and exports ([binary.Module.CheckContract]), prepare
// ([code.Prepare], the only place that changes bytes), compile, compare signatures with the contract, describe. Each
// step can refuse the file. The description is kept. Code needs five times the file's size and loads from the cache in
// 0.1 s, so it is freed half a minute after its last instance. A second after compiling or freeing, package code
// returns unused memory to the system. Loading is bounded by sizes, by the compile cost that the meter computes, and by
// two minutes of processor time unless the module is built in. Compiling a function of 1 MiB, the maximum, needs
// 0.9 GB of memory.
//
// A connector gets a [Binding] to a version, with a [Pool] of instances of its own. A newer version waits as
// [Binding.Candidate] until the task accepts or rejects it at the boundary of a page or batch. Pages of a source use
// a [Reader], which locks its instance for each call only. All running calls share the processors (processors.go),
// all instances a memory budget (memorylimiter.go).
//
// An [Instance] is called with a context and returns values of package wit. Results are checked: rows must be inside
// the batch and refer to known schemas, topics and input rows. Schema IDs of a guest are translated to the registry's.
// [Limits] bound time, memory, result size, log lines and recursion. A guest that exceeds one, traps, or breaks the
// contract fails its call with a [*Trap] and loses its instance. Package meter rewrites every module so that it calls
// the host about every 0.2 ms of work (clock.go). A version that breaks repeatedly is stopped for its connector
// ([StoppedError]); one that was just activated is rolled back ([Binding.ShouldRetry]).
//
// Where to look:
//
//   - manager.go, open.go: [Manager], from [New] to [Manager.Close]. modulefiles.go, watch.go: module files.
//   - loader.go, refusals.go, compilenotice.go: from a file to a module; check.go: `plugins check`.
//   - selection.go, pins.go, rollback.go: which version connectors get; history.go: roles of versions that ran;
//     secretnames.go: which settings are secrets.
//   - binding.go, module.go, breaker.go: the version of a connector; metrics.go: metrics. Package version: their order.
//   - sharedpools.go, pool.go, reader.go, memorylimiter.go, processors.go: instances, pages, and waiting.
//   - instance.go, calls.go, commands.go: calls. batch.go, apply.go, encode.go, decode.go, rows.go: calls with batches.
//   - wasi.go, output.go, trap.go, limits.go, bounds.go, clock.go: host functions and limits.
//
// Invariants:
//
//   - An instance is called by one goroutine at a time, and not after a trap.
//   - Results are copied out of guest memory and checked before use.
//   - A version stays loaded while a binding uses it, even without its file.
//   - A version is replaced only at the boundary of a page or batch, and only by the task.
//
// Locks, from the outside in: folders.scanning, Manager.mu, Binding.mu, sharedPools.mu, Pool.mu, module.mu;
// history.mu and memoryBudget.mu are innermost.
package plugin
