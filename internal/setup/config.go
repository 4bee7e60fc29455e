package setup

import (
	"cmp"
	"io/fs"
	"log/slog"
	"time"

	"github.com/culvert-project/culvert/internal/config"
)

// Config specifies what a worker runs.
type Config struct {
	// Files of the worker and of its connectors.
	Files config.Files
	// Settings of the worker override its file, by name.
	Settings map[string]string
	// Environ is the environment in the form of os.Environ. Only CULVERT_… variables count.
	Environ []string
	// Data is the folder of the embedded broker and of caches. Default culvert-data.
	Data string
	// Plugins are folders with .wasm files, in addition to plugin.path. They are watched.
	Plugins []string
	// Embedded holds the plugins that are part of the program, nil for none.
	Embedded fs.FS
	// Once ends the run when everything that was there at the start has arrived: see [connect.Herder.RunOnce].
	Once bool
	// ResumeLogons tries secrets once more that a service has rejected: see [lockouts.Store].
	ResumeLogons bool
	// Compiling is called with the time that compiling plugins took at the start, if any had to be compiled: see
	// [plugin.Options]. Default: lines of the Logger.
	Compiling func(elapsed time.Duration)
	// Logger. Default slog.Default().
	Logger *slog.Logger
}

// Complete sets defaults.
func (c *Config) Complete() {
	c.Data = cmp.Or(c.Data, "culvert-data")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Error wraps an error of the configuration or of the worker's environment, as opposed to the error of a task.
type Error struct{ Cause error }

func (e *Error) Error() string { return e.Cause.Error() }
func (e *Error) Unwrap() error { return e.Cause }

// Cleanup holds functions that close what was opened, in the order of opening.
type Cleanup []func()

// Add adds a function.
func (c *Cleanup) Add(f func()) { *c = append(*c, f) }

// Run calls the functions in the opposite order.
func (c Cleanup) Run() {
	for i := len(c) - 1; i >= 0; i-- {
		c[i]()
	}
}
