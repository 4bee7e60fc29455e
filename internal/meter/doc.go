// Package meter rewrites core WebAssembly modules so that they call the host at short intervals: a time limit for
// engines whose compiled code cannot be interrupted, at a cost of a few percent. It knows no engine, plugin or
// contract.
//
// # Scheme
//
// A rewritten module has one more global, the fuel (i64, mutable, not exported), which starts at [Options.Budget], and
// one more import, the last of its imports: the function [Module] [Name], `tick`, of type () -> (i64). Fuel is charged
// at the head of each loop that is jumped back to and at the entry of functions. When it falls below zero, the module
// calls tick, whose result is the new fuel. In tick a host checks a deadline, lets other calls run, and returns the
// budget, or unwinds the call. So no module can run for longer than the budget without a tick.
//
// A unit of fuel is worth sixteen instructions. A loop's head costs 1 + n/16, where n is the price of its body without
// inner loops; a function's entry costs the same for the instructions outside of loops. All instructions of the body
// count, whichever branch is executed: charging too much is harmless, too little is not. Prices in instructions:
//
//	block, end, else                0
//	load, global, table, division   4
//	call_indirect                   64
//	call of an import               16
//	call of a small leaf            that of its body
//	memory.copy, memory.fill        24, from 1 KiB on one unit for each 64 bytes more
//	memory.init                     24, and one unit for each 64 bytes
//	table.init, copy, fill, grow    256, and one unit for each 8 elements
//	memory.grow                     256
//	anything else                   1
//
// A loop that costs at most 64, calls nothing and has no loop inside pays for eight iterations at once, at the price of
// the most expensive such loop of its function; a local counts them, which is cheaper than the fuel. A small leaf is a
// function without calls and loops whose price is at most 64: its callers pay for it. If a body begins with a loop, the
// loop's charge replaces the entry's. memory.copy and memory.fill of more than 256 KiB are split, by functions that are
// appended to the module, with the same traps and results.
//
// # Indices
//
// Because of the import, each function that the module defines has an index higher by one, in calls, ref.func, element
// segments, exports, start and names. Custom sections that name functions by index are dropped, except the names of the
// module, functions and locals. Each index is compared with the module's own counts: otherwise an invalid module that
// names one too many would become valid and could set its own fuel. Beyond that the rewriter does not validate: invalid
// modules stay invalid, and the engine refuses them.
//
// # What is refused
//
// SIMD, threads, tail calls, exceptions, typed references and garbage collection, several memories, and memories of 64
// bits, since each needs instructions or indices that the rewriter does not know ([UnsupportedError]). Modules that
// already import from [Module]. Modules beyond [Limits], which bound sizes and compile cost: some KiB of locals that
// meet at branches take gigabytes to compile. Tables share a maximum, because memory limits do not include tables. Each
// byte is read at most three times, and each count is compared with the remaining bytes before anything is allocated.
package meter
