//go:build !linux

package kafka

import "time"

// bootClock is the wall clock: set forward, it makes a session end early.
func bootClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
