// Package meter rewrites core WebAssembly modules so that whoever runs them gets control back every now and then: a
// fence of time for engines whose compiled code cannot be interrupted, at a cost of some percent.
//
// It is pure: bytes in, bytes out, the same for the same input. It knows no engine, plugin or contract.
//
// # Scheme
//
// A rewritten module has one more global, the fuel (i64, mutable, not exported), which starts at [Options.Budget], and
// one more import, the last of its imports: the function [Module] [Name], `tick`, of type () -> (i64).
// Fuel is taken at the head of each loop that is jumped back to and at the entry of functions. Where it falls below
// zero the module calls tick, whose result is the new fuel. In tick a host looks at a deadline, lets others work, and
// returns the budget, or unwinds the call. A module with fuel cannot run for longer than the budget without a tick,
// whatever its author had in mind.
//
// # What is charged
//
// A unit of fuel is worth sixteen instructions. A loop's head takes 1 + n/16, where n is the price of its body without
// the loops inside of it; a function's entry takes the same for what stands outside of loops. Everything that is in the
// body is counted, whichever way the execution takes: too much is harmless, too little is not. Prices in instructions:
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
// Loops that cost at most 64, call nothing and have no loop inside pay for eight turns at once, at the price of the
// dearest of them in their function; the turns that are left are counted in a local, which costs less than the fuel.
// What a call has paid for and not used is lost with it: too much is harmless here as well.
//
// A small leaf is a function without calls and loops whose price is at most 64: its callers pay for it and it has no
// charge at its entry. Where a function's body opens with a loop, the loop's charge stands for that of the entry.
// memory.copy and memory.fill of more than 256 KiB are cut into pieces of that size, by functions that are appended to
// the module, with the same traps and results.
//
// # Indices
//
// Because of the import each function that the module defines has an index higher by one, in calls, ref.func, element
// segments, exports, start and names. Custom sections that name functions by index are dropped: `.debug_*`, `linking`,
// `reloc.*`, `metadata.code.*`, and what a name section has in addition to names of the module, functions and locals.
//
// Each index of a function, global, local, type and label is compared with the module's own counts first, or an invalid
// module that names one too many would become valid and could set its own fuel. Beyond that the rewriter does not
// validate: what was invalid stays so and is for the engine to refuse.
//
// # What is refused
//
// Vectors (SIMD), threads, tail calls, exceptions, typed references and garbage collection, several memories, memories
// of 64 bits, since each would need instructions or indices that the rewriter does not know ([Refusal]). Modules that
// already import from [Module]. Modules beyond [Limits]: engines compile what they are given, so sizes are bounded
// before, and what makes a function hard to compile, which sizes do not tell: some KiB of locals that meet at branches
// take gigabytes. Tables share a maximum of [Limits.TableElements], because no fence of memory holds them.
//
// Time and memory are bounded for any input: each byte is read at most three times, and each count is compared with the
// bytes that are left before anything is made of it.
package meter
