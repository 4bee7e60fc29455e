package plugin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// countdown is a context that is canceled after limit checks.
type countdown struct {
	context.Context
	limit  int
	checks int
}

func (c *countdown) Err() error {
	c.checks++
	if c.checks > c.limit {
		return context.Canceled
	}
	return nil
}

// Reading a result ends when the context is canceled: many rows, one large value, one large header, many schemas.
func TestReadingResultsEndsWithContext(t *testing.T) {
	const many = 50_000
	list, err := connectdata.AppendSchemaless(nil, make(connectdata.List, many))
	require.NoError(t, err)
	headers := connectdata.AppendHeaders(nil, []connectdata.Header{{Name: "h", Encoding: wit.Schemaless, Value: list}})
	declared := make([]wit.Schema, many)
	for n := range declared {
		declared[n] = wit.Schema{ID: wit.GuestSchemas, Nodes: []wit.SchemaNode{{Kind: wit.Int32}}}
	}
	rows := func(data []byte, count int, row wit.Row) func(i *Instance) error {
		return func(i *Instance) error {
			b := &record.Batch{Topics: []string{"t"}, Data: bytes.Clone(data)}
			check := rowCheck{instance: i, batch: b, size: uint32(len(data)), limit: 1 << 30}
			for n := range count {
				row := row
				if err := check.translateRow(n, &row, nil); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, read := range map[string]func(i *Instance) error{
		"rows":    rows(nil, many, wit.Row{}),
		"value":   rows(list, 1, wit.Row{Value: wit.ValueSlice{Encoding: wit.Schemaless, Size: uint32(len(list))}}),
		"header":  rows(headers, 1, wit.Row{Headers: wit.ValueSlice{Encoding: wit.Raw, Size: uint32(len(headers))}}),
		"schemas": func(i *Instance) error { return i.schemas.Declare(declared) },
	} {
		t.Run(name, func(t *testing.T) {
			run := func(limit int) (*countdown, error) {
				ctx := &countdown{Context: context.Background(), limit: limit}
				i := &Instance{}
				i.schemas = abi.NewTranslator(record.NewRegistry(), i.clock.callerErr)
				i.clock.ctx = ctx
				i.buffers.topics = []uint32{0}
				return ctx, read(i)
			}
			complete, err := run(1 << 30)
			if least := many / 2 / checkEvery; err != nil || complete.checks < least {
				t.Fatalf("expected at least %d checks of the context, found %d, %v", least, complete.checks, err)
			}
			ctx, err := run(complete.checks / 2)
			violation := new(abi.Violation)
			assert.True(t, errors.Is(err, context.Canceled) && !errors.As(err, &violation) && canceledBy(err) != nil,
				"expected an error that is not the guest's fault, found %v", err)
			assert.True(t, ctx.checks <= complete.checks/2+2,
				"expected to end at check %d, found it at %d", complete.checks/2+1, ctx.checks)
		})
	}
}

// A module whose preparation was canceled is not recorded as rejected, and is prepared later.
func TestCanceledPreparationIsRepeated(t *testing.T) {
	module := guesttest.Static(wit.Description{Name: "a", Version: "1.0.0"}, "")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	cache := code.NewCompiler(t.TempDir(), provideImports, slog.New(slog.DiscardHandler)).Cache()
	prepared, err := code.Prepare(canceled, module)
	require.True(t, errors.Is(err, context.Canceled) && prepared == nil,
		"expected the preparation to be canceled, found %v", err)
	cacheRefusal(cache, "x", Limits{}.withDefaults(), err)
	assert.NoError(t, cachedRefusal(cache, "x", Limits{}.withDefaults()), "refused")
	prepared, err = code.Prepare(t.Context(), module)
	assert.True(t, err == nil && prepared != nil, "expected the module, found %v", err)
}
