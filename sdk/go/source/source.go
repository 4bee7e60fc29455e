// Package source makes a module a source plugin. Importing it adds the exports of the world source-plugin.
//
// Implement [PagePlugin] if each response of the service fits into memory, else [Plugin].
package source

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a source. Methods must not keep the slices and strings that they receive: the next call reuses their
// memory. The result of Decode may be reused by the next call of Decode.
type Plugin interface {
	sdk.Plugin
	wit.Source
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the source of the module. Call it from an init function.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
