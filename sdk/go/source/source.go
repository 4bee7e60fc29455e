// Package source makes a module a source plugin: importing it gives the module the exports of the world source-plugin.
package source

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is what a source implements. Methods must not keep the slices and texts that they are given: they lie in
// memory that the next call uses again. What Decode returns may be used again by the next call of Decode.
type Plugin interface {
	sdk.Plugin
	wit.Source
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the module's source. Call it from init.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
