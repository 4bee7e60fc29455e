//go:build !unix

package code

import "time"

// processorTime is the time on the clock, because the standard library tells the processor time on Unix only.
func processorTime() time.Duration { return time.Since(started) }

var started = time.Now()
