package code

import (
	"context"
	stdbinary "encoding/binary"
	"fmt"

	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/binary"
)

// Metering is how every module is metered, with fuel for about 0.2 ms.
var Metering = meter.Options{Budget: meter.DefaultBudget}

// PreparationVersion changes when [Prepare] returns something else for the same bytes: results are cached on disk.
const PreparationVersion = 6

// Prepared is a module in the form that is compiled.
type Prepared struct {
	Wasm   []byte
	effort int // the estimated effort of compiling it, see [meter.Report]
}

// Prepare returns the form of a module that is compiled. No other function changes a module.
func Prepare(ctx context.Context, data []byte) (*Prepared, error) {
	metered, report, err := meter.Rewrite(ctx, binary.Normalize(data), Metering)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // not an error of the module
	}
	if err != nil {
		return nil, &UnusableError{fmt.Errorf("the module is refused: %w", err)}
	}
	return &Prepared{Wasm: metered, effort: report.Effort}, nil
}

// prepare is [Prepare] with the cache. A file is a module's effort in eight bytes, then its metered form.
func (c *Cache) prepare(ctx context.Context, module *Module) (*Prepared, error) {
	const effortBytes = 8
	if cached := c.Read(module.Hash, preparedKind); len(cached) > effortBytes {
		return &Prepared{Wasm: cached[effortBytes:], effort: int(stdbinary.BigEndian.Uint64(cached))}, nil
	}
	data, err := module.Original()
	if err != nil {
		return nil, err
	}
	prepared, err := Prepare(ctx, data)
	if err == nil {
		c.Write(module.Hash, preparedKind, append(stdbinary.BigEndian.AppendUint64(nil, uint64(prepared.effort)),
			prepared.Wasm...))
	}
	return prepared, err
}

// UnusableError is the error of a module that cannot be used, whatever the machine's load.
type UnusableError struct{ Reason error }

func (u *UnusableError) Error() string { return u.Reason.Error() }

// Unwrap returns the reason.
func (u *UnusableError) Unwrap() error { return u.Reason }
