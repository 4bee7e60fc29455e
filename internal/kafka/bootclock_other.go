//go:build !linux

package kafka

import "time"

// bootClock returns the time of the wall clock. If that is set forward, a session ends early.
func bootClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
