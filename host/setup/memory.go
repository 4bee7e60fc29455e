package setup

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
)

// LimitMemory has the garbage collector run when half as much is allocated as is in use, and work harder from half of
// the machine's memory on, or of the container's. GOGC and GOMEMLIMIT count instead if they are given.
func LimitMemory() {
	if os.Getenv("GOGC") == "" {
		const percent = 50
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(available() / 2)
	}
}

// leastGuestMemory is enough for four instances with the default limit. Each counts with its limit, though few use so
// much; and a service that answers late occupies an instance.
const leastGuestMemory = 512 << 20

// guestMemory returns the bound of the memory of all instances of plugins, in bytes: the worker's setting, else a
// quarter of available, at least leastGuestMemory and at most four times as much. The latter is sixteen instances,
// which really use some 150 MB.
func guestMemory(w *config.Worker) int64 {
	if n := w.Int(plugin.MemorySetting); n > 0 {
		return int64(n)
	}
	return min(max(available()/4, leastGuestMemory), 4*leastGuestMemory)
}

// fallbackMemory is assumed where nothing tells how much there is.
const fallbackMemory = 2 << 30

// available is the memory that the container may use, or that the machine has, in bytes.
func available() int64 { return availableIn(os.DirFS("/")) }

// availableIn is the least that the machine has, and that the control groups of this process allow: its own and those
// around it, of version 2 and of version 1. In a container the path of the own group may be one that only the machine
// knows: then the mount's root is that group.
func availableIn(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	take := func(text string) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 { // "max" is no number
			least = min(least, n)
		}
	}
	groups := func(mount, at, file string) {
		for at = path.Clean("/" + at); ; at = path.Dir(at) {
			if text, err := fs.ReadFile(root, path.Join(mount, at, file)); err == nil {
				take(string(text))
			}
			if at == "/" {
				return
			}
		}
	}
	const mount = "sys/fs/cgroup"
	own, second, first := "", "/", "/"
	if text, err := fs.ReadFile(root, "proc/self/cgroup"); err == nil {
		own = string(text)
	}
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		switch {
		case len(fields) < 3:
		case fields[1] == "":
			second = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			first = fields[2]
		}
	}
	groups(mount, second, "memory.max")
	groups(mount+"/memory", first, "memory.limit_in_bytes")
	text, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				least = min(least, kib<<10)
			}
		}
	}
	if least == math.MaxInt64 {
		return fallbackMemory
	}
	return least
}
