// Package sink makes a module a sink plugin. Importing it adds the exports of the world sink-plugin.
package sink

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a sink. Methods must not keep the slices and strings that they receive: the next call reuses their memory.
type Plugin interface {
	sdk.Plugin
	wit.Sink
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the sink of the module. Call it from an init function.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
