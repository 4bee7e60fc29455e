package code

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/meter"
	"github.com/culvert-project/culvert/host/plugin/binary"
)

// Metering is how every module is metered. Its fuel is enough for about 0.2 ms.
var Metering = meter.Options{Budget: meter.DefaultBudget}

// Preparation changes with what [Prepare] makes of the same bytes: results are kept on disk.
const Preparation = 5

// Prepared is a module as the compiler gets it.
type Prepared struct {
	Wasm []byte
	// effort is what compiling it takes, by [meter.Report].
	effort int
}

// Prepare turns a module's bytes into those that are compiled: the one place where a module is rewritten. The
// disk cache is keyed by what comes out of here, a module's identity (hash) by what went in.
func Prepare(ctx context.Context, data []byte) (*Prepared, error) {
	metered, report, err := meter.Rewrite(ctx, binary.Shaped(data), Metering)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // which says nothing of the module
	}
	if err != nil {
		return nil, &Unfit{fmt.Errorf("the module is refused: %w", err)}
	}
	return &Prepared{metered, report.Effort}, nil
}

// Unfit is the error of a module that is refused for what it is.
type Unfit struct{ Reason error }

func (u *Unfit) Error() string { return u.Reason.Error() }

// Unwrap returns the reason.
func (u *Unfit) Unwrap() error { return u.Reason }
