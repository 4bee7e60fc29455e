package connect

import (
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/wit"
)

// Declared are the declarations of the plugin that a connector names; none where there is no such plugin.
func (k *Checker) Declared(c *config.Connector) *config.Declarations {
	_, component, err := find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"), wit.ComponentSource, wit.ComponentSink)
	if err != nil {
		return config.Declare()
	}
	return config.DeclareComponent(component)
}
