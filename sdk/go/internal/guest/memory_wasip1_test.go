package guest

import "github.com/culvert-project/culvert/wit/canon"

// testMemory returns the memory of the guest in which the tests run.
func testMemory() canon.Memory { return Memory }
