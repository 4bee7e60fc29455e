// Package progress adds the optional interface progress to a source: it reports how far a load is, and how its end was
// proven, and lets the host compare the keys of two readings. Import it together with package source.
package progress

import "github.com/culvert-project/culvert/wit"

//lint:ignore U1000 read by the exports, which only guests have
var registered wit.Progress

// Register makes p report the progress of the module's loads. Call it from an init function.
func Register(p wit.Progress) { registered = p }
