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

// LimitMemory makes the garbage collector run earlier than Go's defaults. GOGC and GOMEMLIMIT override it.
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
// parents, of version 2 and 1. In a container the group's own path may exist only on the machine: then the mount's root
// is that group.
func availableIn(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	reduce := func(text string) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 { // "max" means no limit
			limit = min(limit, n)
		}
	}
	reduceToGroups := func(mount, group, file string) {
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			if content, err := fs.ReadFile(root, path.Join(mount, group, file)); err == nil {
				reduce(string(content))
			}
			if group == "/" {
				return
			}
		}
	}
	const mount = "sys/fs/cgroup"
	ownGroups := ""
	version2 := "/" // the path of this process's group
	version1 := "/"
	if content, err := fs.ReadFile(root, "proc/self/cgroup"); err == nil {
		ownGroups = string(content)
	}
	for line := range strings.Lines(ownGroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		switch {
		case len(fields) < 3: // malformed
		case fields[1] == "":
			version2 = fields[2]
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			version1 = fields[2]
		}
	}
	reduceToGroups(mount, version2, "memory.max")
	reduceToGroups(mount+"/memory", version1, "memory.limit_in_bytes")
	content, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				limit = min(limit, kib<<10)
			}
		}
	}
	if limit == math.MaxInt64 {
		return fallbackMemory
	}
	return limit
}
