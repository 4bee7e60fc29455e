package abi

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

func instantiate(t testing.TB, module []byte, limit int64) *Guest {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	m, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	require.NoError(t, err)
	g, err := NewGuest(m, limit)
	require.NoError(t, err)
	return g
}

// test is an additional interface: its function has 16 core parameters, the maximum.
type test interface {
	Wide(bytes []byte, text string, small uint8, number uint32, long int64, flag bool, some *string, none *int64,
		texts []string, real float64) (string, error)
	Posted() uint32
}

func TestParametersOfAllKinds(t *testing.T) {
	g := instantiate(t, guesttest.Bytes(t, "./testdata/guests/wide"), 0)
	wide := canon.FuncOf("test", "Wide", test.Wide)
	var result string
	for range 3 {
		failure, err := g.Invoke(t.Context(), g.Func(wide.Export()), wide, &result, []byte("bytes"), "größe",
			uint8(200), uint32(1<<31), int64(-5), true, wit.Ptr("some"), (*int64)(nil), []string{"a", "bb"}, 0.5)
		require.True(t, failure == nil && err == nil, "%v %v", failure, err)
	}
	assert.Equal(t, "bytes|größe|200|2147483648|-5|1|1 some|0|2 a bb|0.5", result)
	posted := canon.FuncOf("test", "Posted", test.Posted)
	var n uint32
	_, err := g.Invoke(t.Context(), g.Func(posted.Export()), posted, &n)
	assert.True(t, err == nil && n == 3, "post-return was called %d times for 3 calls: %v", n, err)
}

// A result above a small limit is rejected before it is copied.
func TestResultLimit(t *testing.T) {
	g := instantiate(t, guesttest.Bytes(t, "./testdata/guests/wide"), 10)
	wide := canon.FuncOf("test", "Wide", test.Wide)
	var result string
	_, err := g.Invoke(t.Context(), g.Func(wide.Export()), wide, &result, []byte{}, "", uint8(0), uint32(0), int64(0),
		false, wit.Ptr(""), (*int64)(nil), []string{"", ""}, 0.0)
	var violation *Violation
	assert.True(t, errors.As(err, &violation) && strings.Contains(err.Error(), "larger than allowed"),
		"expected a violation of the limit, found %v", err)
}

func TestMissingFunction(t *testing.T) {
	g := instantiate(t, guesttest.Bytes(t, "./testdata/guests/wide"), 0)
	export := g.Func("nothing")
	assert.True(t, export == nil, "expected no function, found %+v", export)
}

func randomRow(r *rand.Rand) wit.Row {
	datum := func() wit.ValueSlice {
		return wit.ValueSlice{Encoding: wit.Encoding(r.IntN(5)), Schema: r.Uint32(), Start: r.Uint32(),
			Size: r.Uint32()}
	}
	return wit.Row{RowIndex: r.Uint32(), Topic: r.Uint32(), Partition: int32(r.Uint32()), Offset: int64(r.Uint64()),
		Timestamp: int64(r.Uint64()), Key: datum(), Value: datum(), Headers: datum()}
}

// Rows that are copied and rows that the reflective codec encodes have the same bytes.
func TestRowEncodingsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]wit.Row, 50)
	for i := range rows {
		rows[i] = randomRow(r)
	}
	image, err := canon.Lower(rows)
	require.NoError(t, err)
	want := image.Blocks[image.Fixups[0].Block].Data
	b := make([]byte, len(rows)*RowBytes)
	PutRows(b, rows)
	assert.Equal(t, want, b)
	assert.Equal(t, rows, AppendRows(nil, b))
	if got := AppendRows(rows[:1:1], b[:RowBytes]); len(got) != 2 || got[0] != rows[0] || got[1] != rows[0] {
		t.Errorf("expected the first row twice, found %+v", got)
	}
	assert.True(t, AppendRows(nil, nil) == nil, "expected nil for an empty list")
}

func TestRowSize(t *testing.T) {
	got := canon.SizeOf[wit.Row]()
	assert.True(t, got == RowBytes, "expected rows of %d bytes, found %d", RowBytes, got)
}
