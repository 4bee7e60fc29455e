//go:build !race

package plugin

// slower is how many times as long compiling may take, see race.go.
const slower = 1
