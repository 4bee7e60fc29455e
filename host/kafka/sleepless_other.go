//go:build !linux

package kafka

import "time"

// bootClock is the wall clock: set forward, it makes a session end early, and set back, it is not asked.
func bootClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
