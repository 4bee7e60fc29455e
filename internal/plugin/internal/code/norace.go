//go:build !race

package code

// slower is how many times as long compiling may take, see race.go.
const compileTimeFactor = 1
