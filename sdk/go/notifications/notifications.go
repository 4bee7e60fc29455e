// Package notifications gives a module the optional interface `notifications`: push notifications of a source. Import
// it together with package source.
package notifications

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Notifications

// Register makes n the module's handling of notifications. Call it from init.
func Register(n wit.Notifications) { registered = n }
