//go:build !wasip1

package guest

import "github.com/culvert-project/culvert/wit"

// Log does nothing outside a host.
func Log(wit.Level, string) {}
