// Package plugin runs plugins: it finds and compiles their modules, keeps instances of them for connectors, fences them
// in, and swaps them for newer ones while connectors run. It knows the contract, but neither OData nor Kafka.
//
// A file becomes a plugin in these steps, each of which can refuse it by saying what is wrong: read ([binary.Read]),
// judged by its imports and exports ([binary.Module.Judge]), prepared ([code.Prepare]: the one place where bytes
// may change), compiled, its signatures compared with the contract's, described. The host calls a start function and
// `_initialize` itself (binary.StartExport), under the limits of a call. The plugin's description is kept. Its code is
// freed at most a minute after its last instance, because it takes five times the memory of the file and can be loaded
// from the cache folder in 0.1 s.
//
// A connector gets a [Binding] to a version of a plugin, with a [Pool] of instances of its own. A newer version does
// not interrupt it: it waits as the [Binding.Candidate] until the connector's task, at the boundary of a page
// or batch, takes it or not.
//
// Pages of a source come by a [Reader], which holds its instance for each call only: several share one. Running calls
// of all connectors share the processors (processors.go), and their instances a bound of memory, beyond which they take
// turns, with one more for transforms (admission.go).
//
// An [Instance] is called with a context and answers with values of package wit. Inside, schemas have numbers of the
// instance's own; outside there are only those of the registry. What a guest returns is checked before it is used, as
// far as the boundary goes: rows lie inside the batch, name schemas and topics that there are, and say which row they
// came from. Whether bytes fit their schema is for those who read them.
//
// Fences: time, memory, the size of a result, the rate of log lines and the depth of recursion are limited for each
// plugin ([Limits], limits.go has the table). A guest that breaks one, traps, or breaks the contract costs its instance
// and fails its call with a [*Trap]; nothing else is touched. Time is fenced by fuel: every module is rewritten by
// package meter before it is compiled, so that it comes by about every 0.2 ms of work, and by calls out (clock.go,
// which counts the fuel as time); then the engine's stack for it is looked at too.
//
// A version that breaks again and again is stopped for its connector ([Stopped]), and one that does so soon after it
// took over is rolled back to the one before ([Binding.ShouldRetry]); breaker.go has the numbers and why.
//
// Loading is bounded as well: what is too large is refused before it is looked at, the meter reads each byte a fixed
// number of times, and compiling is bounded by a measured effort and two minutes, and can be given up (package code).
// Modules that no connector needs are loaded last (origin.go), and modules that were refused are not compiled again
// (refusals.go). Its memory is bounded by sizes and the effort
// that the meter allows: a function of 1 MiB, the most that is taken, needs 0.9 GB while it is compiled, a module of 16
// of them 1.4 GB; the compiled code has about five times the module's size. The results of loading are kept next to
// the compiled code, with checksums.
//
// Where to look:
//
//   - open.go, manager.go: [Manager], from [New] to [Manager.Close]; metrics.go, version.go: figures, and the order of
//     versions.
//   - origin.go, watch.go: folders and what changes in them; history.go: what versions that ran have declared;
//     rollback.go: going back to the version before; pins.go: what the workers of a group run.
//   - check.go: `plugins check`. loader.go, refusals.go, notice.go: from a file to a module, and what is kept of one
//     that is refused. Package binary reads a file's bytes; package code compiles them and keeps the code.
//   - selection.go: which version a class comes to. binding.go: which one a connector runs with. module.go: a version;
//     breaker.go: when it is stopped.
//   - shared.go, pool.go, reader.go, admission.go, processors.go: instances and pages, and who waits for whom.
//   - instance.go, wasi.go, output.go: what happens around every call; trap.go: a call that ended badly.
//     limits.go, bounds.go, clock.go, fuel.go: what it may take.
//   - calls.go, commands.go: rare calls. batch.go, apply.go, encode.go, decode.go, rows.go: calls that carry batches.
//     Package schemas: numbers of schemas.
//
// A task's call comes to the guest's export in four steps, none of which only forwards: [Reader.Next] holds a shared
// instance for one call (the tasks of sinks and of transforms hold theirs by [Pool.Acquire]); [Instance.Next] has the
// contract's types and checks the result; invoke, for batches carry, takes a processor, starts the clock and counts;
// package abi passes the arguments and calls the engine.
//
// Invariants:
//
//   - An instance is called by one goroutine at a time, and not again after a trap.
//   - What a guest returns is copied out of its memory and checked before anybody sees it.
//   - A version that a connector runs with stays loaded until its binding is closed, whatever becomes of the file.
//   - Another version takes over at the boundary of a page or batch only, and only because the task takes it.
//
// Locks, from the outside in: folders.scanning, Manager.mu, Binding.mu, sharedPools.mu, Pool.mu, module.mu; history.mu
// and bound.mu are within all of them.
package plugin
