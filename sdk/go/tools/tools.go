// Package tools adds commands for the command line to a plugin. Import it together with the package of a world.
package tools

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Tools

// Register makes t provide the commands of the module. Call it from an init function.
func Register(t wit.Tools) { registered = t }
