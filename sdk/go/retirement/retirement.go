// Package retirement adds the optional interface retirement to a source: it removes what the connector created at the
// service, such as subscriptions, when the connector is deleted. Import it together with package source.
package retirement

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Retirement

// Register makes r the retirement of the module. Call it from an init function.
func Register(r wit.Retirement) { registered = r }
