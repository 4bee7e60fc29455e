package abi

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
	"github.com/culvert-project/culvert/wit/canon/canontest"
)

// A guest receives random arguments of handle-response as package canon passes them. A type of the contract that
// changes fails this test until PassResponse changes, too.
func TestPassResponse(t *testing.T) {
	g := instantiate(t, guesttest.Bytes(t, "./testdata/guests/wide"), 0)
	function := canon.Function(wit.InterfaceSink, "HandleResponse")
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 200 {
		var args struct {
			Context  []byte
			State    []byte
			Rows     []uint32
			Response wit.Response
		}
		canontest.Fill(r, reflect.ValueOf(&args).Elem())
		if n%10 == 0 {
			args.Response.Target = "/Set('\xff')"
			args.Response.Headers = append(args.Response.Headers, wit.Header{Name: "\x80", Value: "a\xffb"})
		}
		alloc := func(size, align uint32) (uint32, error) { return g.allocate(t.Context(), size, align) }
		flats, err := function.Arguments(uncountedMemory{g}, alloc, args.Context, args.State, args.Rows, args.Response)
		require.NoError(t, err)
		want, err := function.Lift(uncountedMemory{g}, flats)
		require.NoError(t, err)
		require.NoError(t, g.PassResponse(t.Context(), args.Context, args.State, args.Rows, &args.Response))
		got, err := function.Lift(uncountedMemory{g}, g.flat)
		require.NoError(t, err)
		for i := range want {
			diff := cmp.Diff(want[i].Interface(), got[i].Interface(), cmpopts.EquateEmpty())
			require.True(t, diff == "", "argument %d of %+v: %s", i, args, diff)
		}
	}
}
