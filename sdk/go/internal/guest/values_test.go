package guest

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
	"github.com/culvert-project/culvert/wit/canon/canontest"
)

// place writes a lowered value to memory and returns the address of its first block. It fails the test if err is set.
func place(t *testing.T, mem canon.Memory, lowered canon.Lowered, err error) uint32 {
	t.Helper()
	require.NoError(t, err)
	alloc := func(size, _ uint32) (uint32, error) { return address(results.alloc(int(size))), nil }
	addresses, err := lowered.Place(mem, alloc)
	require.NoError(t, err)
	return addresses[0]
}

// expectLowered checks that a host reads the same from a value that was lowered without reflection and with it.
func expectLowered[T any](t *testing.T, f *canon.Func, value *T, lower func(*T) (words, bool)) {
	t.Helper()
	results.reset()
	mem := testMemory()
	result, ok := lower(value)
	size, _ := f.ResultSize()
	require.True(t, ok && 4*len(result) == int(size), "expected %d bytes, found %d, %t", size, 4*len(result), ok)
	lowered, err := f.Lower(*value, nil)
	var got, want T
	for ptr, dst := range map[uint32]*T{result.address(): &got, place(t, mem, lowered, err): &want} {
		failure, err := f.Result(mem, 1<<20, uint64(ptr), dst)
		if failure != nil || err != nil {
			t.Fatal(failure, err)
		}
	}
	diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
	require.True(t, diff == "", "%v", diff)
}

func randomValue[T any](r *rand.Rand) *T {
	v := new(T)
	canontest.Fill(r, reflect.ValueOf(v).Elem())
	return v
}

// Random results of encode and handle-response are what package canon lowers. A type of the contract that changes fails
// this test until the code without reflection changes, too.
func TestValuesLowered(t *testing.T) {
	encodeFunc := canon.FuncOf(wit.InterfaceSink, "Encode", wit.Sink.Encode)
	responseFunc := canon.FuncOf(wit.InterfaceSink, "HandleResponse", wit.Sink.HandleResponse)
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		expectLowered(t, encodeFunc, randomValue[wit.EncodeResult](r), lowerEncode)
		expectLowered(t, responseFunc, randomValue[wit.ResponseResult](r), lowerResponse)
	}
	invalid := wit.Error{Kind: wit.ErrorData, Message: "\xff", Code: wit.Ptr("a\x80\xffb")}
	expectLowered(t, responseFunc, &wit.ResponseResult{Results: []wit.RowResult{{Rejected: &invalid}}}, lowerResponse)
}

// Values that the contract does not have are left to package canon, which returns an error.
func TestValuesLoweredOutsideContract(t *testing.T) {
	unknown := wit.Error{Kind: wit.ErrorKind(wit.ErrorKind(0).Cases())}
	for name, result := range map[string]wit.RowResult{
		"no case":                 {},
		"two cases":               {Written: wit.Set, Retry: &wit.Retry{}},
		"unknown kind":            {Rejected: &unknown},
		"unknown kind of a retry": {Retry: &wit.Retry{Error: &unknown}},
	} {
		_, ok := lowerResponse(&wit.ResponseResult{Results: []wit.RowResult{result}})
		assert.True(t, !ok, "%s: expected it to be left to canon", name)
	}
	if _, ok := lowerEncode(&wit.EncodeResult{Rejected: []wit.RowError{{Error: unknown}}}); ok {
		t.Error("expected an unknown kind to be left to canon")
	}
}

// expectLifted checks that a list is lifted as package canon lifts it.
func expectLifted[T any](t *testing.T, r *rand.Rand, lift func(ptr, n uint32) []T) {
	t.Helper()
	results.reset()
	mem := testMemory()
	lowered, err := canon.Lower(*randomValue[[]T](r))
	root, ok := mem.View(place(t, mem, lowered, err), 8)
	require.True(t, ok, "the list is outside the memory")
	ptr := binary.LittleEndian.Uint32(root)
	n := binary.LittleEndian.Uint32(root[4:])
	var want []T
	lifter := canon.Lifter{Memory: mem, Budget: 1 << 20}
	require.NoError(t, lifter.LiftList(ptr, n, &want))
	diff := cmp.Diff(want, lift(ptr, n), cmpopts.EquateEmpty())
	require.True(t, diff == "", "%v", diff)
}

// Random arguments of encode and handle-response are what package canon lifts.
func TestValuesLifted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		expectLifted(t, r, Strings)
		expectLifted(t, r, Headers)
		expectLifted(t, r, Hints)
	}
}
