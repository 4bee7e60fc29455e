//go:build race

package code

// slower is how many times as long compiling may take: the race detector slows the engine's compiler down that much.
const slower = 15
