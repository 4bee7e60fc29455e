// Package transform makes a module a transform plugin: importing it gives the module the exports of the world
// transform-plugin.
package transform

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is what a transform implements. Methods must not keep the slices and texts that they are given: they lie in
// memory that the next call uses again; schemas may be kept. What Apply returns may be used again by the next call of
// Apply, and may be the arguments themselves.
type Plugin interface {
	sdk.Plugin
	wit.Transform
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the module's transform. Call it from init.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
