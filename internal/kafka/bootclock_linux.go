package kafka

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is the time since boot, sleep included.
func bootClock() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // fails for an unknown clock alone: Linux 2.6.39 knows it
	return time.Duration(t.Nano())
}
