package host

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// tuneGC lets garbage grow to four times what is alive while tasks run, which is the largest single lever on throughput, and
// limits memory to half of the machine's, or of the container's, so that it cannot run away. What GOGC or GOMEMLIMIT say counts
// instead. The returned function undoes it.
func tuneGC() func() {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	debug.SetGCPercent(percent)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(available() / 2)
	}
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// fallbackMemory is assumed where nothing tells how much there is.
const fallbackMemory = 2 << 30

// available is the memory that the container may use, or that the machine has, in bytes.
func available() int64 {
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			return n
		}
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fallbackMemory
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return fallbackMemory
}
