// Package retirement gives a module the optional interface `retirement`: what to undo at the service when a connector
// is deleted. Import it together with package source.
package retirement

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Retirement

// Register makes r the module's retirement. Call it from init.
func Register(r wit.Retirement) { registered = r }
