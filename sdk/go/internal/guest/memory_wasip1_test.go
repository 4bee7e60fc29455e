package guest

import "github.com/culvert-project/culvert/wit/canon"

func testMemory() canon.Memory { return Memory }
