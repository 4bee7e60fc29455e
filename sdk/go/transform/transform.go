// Package transform makes a module a transform plugin. Importing it adds the exports of the world transform-plugin.
//
// Implement [RecordPlugin] to transform one record at a time, or [Plugin] to transform the bytes of a batch.
package transform

import (
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a transform. Methods must not keep the slices and strings that they receive: the next call reuses their
// memory. Schemas may be kept. The result of Apply may be reused by the next call of Apply, and may alias its
// arguments.
type Plugin interface {
	sdk.Plugin
	wit.Transform
}

//lint:ignore U1000 read by the exports, which only guests have
var registered Plugin

// Register makes p the transform of the module. Call it from an init function.
func Register(p Plugin) {
	registered = p
	sdk.Register(p)
}
