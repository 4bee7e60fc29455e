package kafka

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock returns the time since boot, sleep included.
func bootClock() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // fails only for unknown clocks; Linux has had this one since 2.6.39
	return time.Duration(t.Nano())
}
