package setup

import (
	"cmp"
	"io/fs"
	"log/slog"
	"time"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
)

// Config specifies what a worker runs.
type Config struct {
	Files    config.Files
	Settings map[string]string // override the worker's file, by name
	Environ  []string          // as of os.Environ; only CULVERT_… and OTEL_… variables count
	Data     string            // folder of the embedded broker and of caches; default culvert-data
	Plugins  []string          // watched folders with .wasm files, in addition to plugin.path
	Embedded fs.FS             // built-in plugins; nil for none
	// Once ends the run when sources have caught up and sinks have written their records: see [connect.Herder.RunOnce].
	Once         bool
	ResumeLogons bool // tries rejected secrets once more: see [lockouts.Store]
	// Compiling, if not nil, is called with the time that compiling plugins took at the start instead of logging it.
	Compiling func(elapsed time.Duration)
	Logger    *slog.Logger // default slog.Default()

	compilation *plugin.Compilation // set by Complete
}

// Complete sets defaults.
func (c *Config) Complete() {
	c.Data = cmp.Or(c.Data, "culvert-data")
	c.compilation = cmp.Or(c.compilation, new(plugin.Compilation))
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Error is an error of the configuration or of the worker's environment, as opposed to one of a task.
type Error struct{ Cause error }

func (e *Error) Error() string { return e.Cause.Error() }
func (e *Error) Unwrap() error { return e.Cause }

// Cleanup is a list of functions that close what was opened, in the order of opening.
type Cleanup []func()

// Add appends a function.
func (c *Cleanup) Add(f func()) { *c = append(*c, f) }

// Run calls the functions in the opposite order.
func (c Cleanup) Run() {
	for i := len(c) - 1; i >= 0; i-- {
		c[i]()
	}
}
