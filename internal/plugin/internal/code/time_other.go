//go:build !unix

package code

import "time"

// processorTime returns the time on the clock since the program started. So a module may be refused because the machine
// is busy.
func processorTime() time.Duration { return time.Since(started) }

var started = time.Now()
