package connect

import (
	"strings"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// planned are the settings of a task as a version of the plugin may see them.
func (t *task) planned(info plugin.Info) []wit.Setting {
	c := t.connector
	g := check.Guest(c.o.Plugins, info, c.class.component)
	c.warnWithheld(info, &g, c.config)
	return g.PlannedSettings(c.config, t.settings)
}

// warnWithheld logs, once for each version of a plugin, which settings the plugin does not see.
func (c *connector) warnWithheld(info plugin.Info, g *config.PluginView, settings *config.Connector) {
	withheld := g.RedactedFromFiles(settings)
	if len(withheld) == 0 {
		return
	}
	c.controller.mu.Lock()
	defer c.controller.mu.Unlock()
	key := info.Hash + strings.Join(withheld, ",")
	if c.warned[key] {
		return
	}
	if c.warned == nil {
		c.warned = map[string]bool{}
	}
	c.warned[key] = true
	c.log.Warn("values from files are not shown to a plugin of a folder: where they are no secrets, the setting "+
		"reveal in the worker's settings lets it see them",
		"plugin", info.Name, "version", info.Version, "file", info.Path, "settings", withheld, "reveal",
		"plugin."+info.Name+".reveal")
}
