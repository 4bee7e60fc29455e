package plugin

import (
	"fmt"

	"github.com/culvert-project/culvert/host/meter"
)

// preparation changes with what prepareModule makes of the same bytes: results are kept on disk.
const preparation = 3

// prepareModule turns a module's bytes into those that are compiled: the one place where a module is rewritten. The disk cache is
// keyed by what comes out of here, a module's identity (hash) by what went in.
func prepareModule(data []byte) ([]byte, error) {
	metered, _, err := meter.Rewrite(joinSegments(data), metering)
	if err != nil {
		return nil, fmt.Errorf("the module is refused: %w", err)
	}
	return metered, nil
}
