//go:build race

package code

// compileTimeFactor multiplies [CompileTime]: the race detector slows the engine's compiler down.
const compileTimeFactor = 15
