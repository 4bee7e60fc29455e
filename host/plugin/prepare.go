package plugin

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/meter"
	"github.com/culvert-project/culvert/host/plugin/binary"
)

// preparation changes with what prepareModule makes of the same bytes: results are kept on disk.
const preparation = 5

// prepared is a module as the compiler gets it.
type prepared struct {
	wasm []byte
	// effort is what compiling it takes, by [meter.Report].
	effort int
}

// prepareModule turns a module's bytes into those that are compiled: the one place where a module is rewritten. The
// disk cache is keyed by what comes out of here, a module's identity (hash) by what went in.
func prepareModule(ctx context.Context, data []byte) (*prepared, error) {
	metered, report, err := meter.Rewrite(ctx, binary.Shaped(data), metering)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // which says nothing of the module
	}
	if err != nil {
		return nil, &unfit{fmt.Errorf("the module is refused: %w", err)}
	}
	return &prepared{metered, report.Effort}, nil
}
