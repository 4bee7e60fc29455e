//go:build !linux

package kafka

import "time"

// sleepless is the wall clock: set forward, it makes a session end early, and set back, it is not asked.
func sleepless() time.Duration { return time.Duration(time.Now().UnixNano()) }
