// Package tools gives a module the optional interface `tools`: commands that it adds to the command line. Import it
// beside a package of a world.
package tools

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Tools

// Register makes t the module's commands. Call it from init.
func Register(t wit.Tools) { registered = t }
