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

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
)

// LimitMemory makes the garbage collector run when the heap has grown by half, and more often above half of the
// available memory. GOGC and GOMEMLIMIT override it.
func LimitMemory() {
	if os.Getenv("GOGC") == "" {
		const percent = 50
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(available() / 2)
	}
}

// newBudget returns the budget of the available memory, or of GOMEMLIMIT if that is less.
func newBudget() *memory.Budget {
	limit := available()
	if os.Getenv("GOMEMLIMIT") != "" {
		limit = min(limit, debug.SetMemoryLimit(-1)) // returns GOMEMLIMIT
	}
	return memory.New(limit)
}

func pluginMemory(w *config.Worker, budget *memory.Budget) int64 {
	if n := w.Int(plugin.MemorySetting); n > 0 {
		return int64(n)
	}
	return budget.Plugins()
}

const fallbackMemory = 2 << 30 // if the available memory is unknown

func available() int64 { return availableIn(os.DirFS("/")) }

// availableIn returns the least of the machine's memory and the limits of this process's control groups and their
// parents, of version 2 and 1. In a container the own group may exist only on the machine: then the mount's root is
// that group.
func availableIn(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	lower := func(text string) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 { // "max" is no number
			least = min(least, n)
		}
	}
	groups := func(mount, at, file string) {
		for at = path.Clean("/" + at); ; at = path.Dir(at) {
			if content, err := fs.ReadFile(root, path.Join(mount, at, file)); err == nil {
				lower(string(content))
			}
			if at == "/" {
				return
			}
		}
	}
	const mount = "sys/fs/cgroup"
	ownGroups := ""
	second := "/"
	first := "/"
	if content, err := fs.ReadFile(root, "proc/self/cgroup"); err == nil {
		ownGroups = string(content)
	}
	for line := range strings.Lines(ownGroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		switch {
		case len(fields) < 3: // malformed
		case fields[1] == "":
			second = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			first = fields[2]
		}
	}
	groups(mount, second, "memory.max")
	groups(mount+"/memory", first, "memory.limit_in_bytes")
	content, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(content)) {
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
