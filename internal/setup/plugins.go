package setup

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/culvert-project/culvert/internal/base/memory"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
)

// OpenPlugins opens the built-in plugins and the plugins of plugin.path and c.Plugins.
func OpenPlugins(ctx context.Context, c Config, w *config.Worker, registry *record.Registry) (*plugin.Manager, error) {
	return openPlugins(ctx, c, w, registry, newBudget(), nil, false)
}

// openPlugins opens the needed plugins first, all if nil. Unless neededOnly it opens the others in the background.
func openPlugins(ctx context.Context, c Config, w *config.Worker, registry *record.Registry, budget *memory.Budget,
	needed []plugin.Requirement, neededOnly bool) (*plugin.Manager, error) {
	folders, _ := w.PluginFolders()
	folders = append(folders, c.Plugins...)
	return plugin.New(ctx, plugin.Options{
		Folders:     folders,
		Embedded:    c.Embedded,
		CacheDir:    cacheFolder(c.Data, w),
		History:     historyFile(c.Data),
		Settings:    w.All(),
		Registry:    registry,
		Logger:      c.Logger,
		Compiling:   c.Compiling,
		Compilation: c.compilation,
		Watch:       len(folders) > 0,
		Needed:      needed,
		NeededOnly:  neededOnly,
		MemoryBytes: pluginMemory(w, budget),
		Limits:      plugin.Limits{MemoryBytes: budget.Instance()},
	})
}

// historyFile returns the file of the plugin versions that ran, see [plugin.Options]: "" if the data folder does not
// exist.
func historyFile(data string) string {
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		return ""
	}
	return filepath.Join(data, "plugins.adopted.json")
}

// cacheFolder returns the folder of compiled plugins, which it creates unless it is cache.dir: in the data folder, or
// in the user's cache folder if the data folder does not exist. Without one, "", plugins are compiled at each start.
func cacheFolder(data string, w *config.Worker) string {
	if dir := w.Text("cache.dir"); dir != "" {
		return dir
	}
	if info, err := os.Stat(data); err != nil || !info.IsDir() {
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(user, "culvert")
	}
	dir := filepath.Join(data, "plugins.cache")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ""
	}
	return dir
}

// Needed returns the plugin classes that connectors name. It is never nil, which would mean all.
func Needed(connectors []*config.Connector) []plugin.Requirement {
	needed := []plugin.Requirement{}
	for _, connector := range connectors {
		if connector.Problems.Err() != nil {
			continue
		}
		for _, class := range resolved.PluginClasses(connector) {
			r := plugin.Requirement(class)
			if r.Class != "" && !slices.Contains(needed, r) {
				needed = append(needed, r)
			}
		}
	}
	return needed
}

// CheckPlugin loads a plugin's file and calls its functions, see [plugin.Check].
func CheckPlugin(ctx context.Context, c Config, w *config.Worker, file string) (*plugin.CheckResult, error) {
	return plugin.Check(ctx, file, plugin.Options{CacheDir: cacheFolder(c.Data, w), Settings: w.All(),
		Logger: c.Logger})
}
