//go:build !wasip1

package guest

import "github.com/culvert-project/culvert/wit"

// Log goes nowhere outside a host.
func Log(wit.Level, string) {}
