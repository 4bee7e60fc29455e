//go:build !race

package code

// compileTimeFactor multiplies [CompileTime], see race.go.
const compileTimeFactor = 1
