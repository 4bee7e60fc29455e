// Package notifications adds the optional interface notifications to a source: the service notifies the worker of
// changes. Import it together with package source.
package notifications

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Notifications

// Register makes n handle the notifications of the module. Call it from an init function.
func Register(n wit.Notifications) { registered = n }
