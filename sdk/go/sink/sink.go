// Package sink makes a module a sink plugin: importing it gives the module the exports of the world sink-plugin.
package sink

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is what a sink implements. Methods must not keep the slices and texts that they are given: they lie in memory
// that the next call uses again.
type Plugin interface {
	sdk.Plugin
	wit.Sink
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the module's sink. Call it from init.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
