package host

import (
	"context"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
)

// CheckPlugin loads a plugin's file as a worker with this configuration would, and tries its functions; see
// [plugin.Check].
func CheckPlugin(ctx context.Context, c Config, w *config.Worker, file string) (*plugin.Checked, error) {
	return plugin.Check(ctx, file, plugin.Options{CacheDir: cacheFolder(c.Data, w), Settings: w.All(),
		Logger: c.Logger})
}
