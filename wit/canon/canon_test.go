package canon

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon/canontest"
)

// ram is a linear memory that allocates bytes from its start.
type ram struct {
	b    []byte
	used uint32
}

func (r *ram) View(ptr, size uint32) ([]byte, bool) {
	if uint64(ptr)+uint64(size) > uint64(len(r.b)) {
		return nil, false
	}
	return r.b[ptr : ptr+size], true
}

func (r *ram) alloc(size, align uint32) (uint32, error) {
	r.used = alignTo(r.used, align)
	ptr := r.used
	r.used += size
	if int(r.used) > len(r.b) {
		r.b = append(r.b, make([]byte, int(r.used)-len(r.b)+4096)...)
	}
	return ptr, nil
}

// budget is the size that the tests allow for a value.
const budget = 64 << 20

// Random arguments and results of every function of the contract are unchanged after a round trip through a memory.
func TestRoundTripOfEveryFunction(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name := range Interfaces {
		for _, f := range Functions(name) {
			for range 50 {
				checkArguments(t, r, f)
				checkResult(t, r, f)
			}
		}
	}
}

// sameIfEmpty makes nil slices and empty ones equal: both are lifted as nil.
var sameIfEmpty = cmpopts.EquateEmpty()

// checkArguments lowers random arguments, lifts them and compares.
func checkArguments(t *testing.T, r *rand.Rand, f *Func) {
	t.Helper()
	mem := &ram{}
	var args []any
	for _, p := range f.params {
		value := reflect.New(p.rtype).Elem()
		canontest.Fill(r, value)
		args = append(args, value.Interface())
	}
	flats, err := f.Arguments(mem, mem.alloc, args...)
	require.NoError(t, err)
	if len(flats) != len(f.Params()) {
		t.Fatalf("%s: expected %d core values, found %d", f, len(f.Params()), len(flats))
	}
	got, err := f.Lift(mem, flats)
	require.NoError(t, err)
	for i := range args {
		diff := cmp.Diff(args[i], got[i].Interface(), sameIfEmpty)
		require.True(t, diff == "", "%s, argument %d: %s", f, i, diff)
	}
}

// checkResult lowers a random result or error, lifts it and compares.
func checkResult(t *testing.T, r *rand.Rand, f *Func) {
	t.Helper()
	if f.result == nil {
		return
	}
	mem := &ram{}
	var want, dst any
	if f.ok != nil {
		value := reflect.New(f.ok.rtype)
		canontest.Fill(r, value.Elem())
		want = value.Elem().Interface()
		dst = reflect.New(f.ok.rtype).Interface()
	}
	var failure *wit.Error
	if f.fallible && r.IntN(2) == 0 {
		failure = new(wit.Error)
		canontest.Fill(r, reflect.ValueOf(failure).Elem())
	}
	lowered, err := f.Lower(want, failure)
	require.NoError(t, err)
	addresses, err := lowered.Place(mem, mem.alloc)
	require.NoError(t, err)
	// The upper half of the core value is ignored: a pointer has 32 bits.
	gotFailure, err := f.Result(mem, budget, uint64(addresses[0])|0x7f7f<<32, dst)
	require.NoError(t, err)
	if diff := cmp.Diff(failure, gotFailure, sameIfEmpty); diff != "" {
		t.Fatalf("%s: %s", f, diff)
	}
	if failure == nil && f.ok != nil {
		diff := cmp.Diff(want, reflect.ValueOf(dst).Elem().Interface(), sameIfEmpty)
		require.True(t, diff == "", "%s: %s", f, diff)
	}
}

// Host and SDK cast lists of rows, so the row's layout is the same in memory and in Go.
func TestRowLayoutMatchesGo(t *testing.T) {
	row := layoutOf(reflect.TypeFor[wit.Row]())
	if row.size != 80 || row.align != 8 || uintptr(row.size) != reflect.TypeFor[wit.Row]().Size() {
		t.Errorf("row: expected 80 bytes aligned to 8, found %d aligned to %d, and %d in Go", row.size, row.align,
			reflect.TypeFor[wit.Row]().Size())
	}
	id := layoutOf(reflect.TypeFor[wit.RecordID]())
	if id.size != 24 || uintptr(id.size) != reflect.TypeFor[wit.RecordID]().Size() {
		t.Errorf("record-id: expected 24 bytes, found %d, and %d in Go", id.size,
			reflect.TypeFor[wit.RecordID]().Size())
	}
	for _, l := range []*typeLayout{row, id, layoutOf(reflect.TypeFor[wit.ValueSlice]())} {
		for _, p := range l.parts {
			if f := l.rtype.Field(p.index); uintptr(p.offset) != f.Offset {
				t.Errorf("%s.%s: at %d, Go's is at %d", l.rtype.Name(), p.name, p.offset, f.Offset)
			}
		}
	}
}

// A function of more than 16 core parameters is a bug in package wit.
func TestNoMoreThan16CoreParameters(t *testing.T) {
	type wide interface {
		Many(a, b, c, d, e, f, g, h string, last uint32) (uint32, error)
	}
	defer func() {
		r := recover()
		assert.True(t, r != nil, "expected a panic")
	}()
	FuncOf("test", "Many", wide.Many)
}

// Values of a hostile guest that violate the ABI are errors.
func TestLiftRejects(t *testing.T) {
	lift := func(mem []byte, dst any) error { return (&Lifter{Memory: &ram{b: mem}, Budget: budget}).Lift(0, dst) }
	padding := make([]byte, 16)
	for _, c := range []struct {
		name string
		mem  []byte
		dst  any
		want string
	}{
		{name: "a value outside", dst: new(wit.Pair), want: "past the memory"},
		{name: "a length past the end", mem: append([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, padding...),
			dst: new(string), want: "past the memory"},
		{name: "a list that is not aligned", mem: append([]byte{1, 0, 0, 0, 1, 0, 0, 0}, padding...),
			dst: new([]uint32), want: "multiple of 4"},
		{name: "text that is not UTF-8", mem: append([]byte{8, 0, 0, 0, 1, 0, 0, 0}, 0xff), dst: new(string),
			want: "not UTF-8"},
		{name: "an enum without the case", mem: []byte{12}, dst: new(wit.ErrorKind), want: "expected one of 12 cases"},
		{name: "a variant without the case", mem: append([]byte{5}, make([]byte, 40)...), dst: new(wit.Scalar),
			want: "expected one of 5 cases"},
	} {
		if err := lift(c.mem, c.dst); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: expected %q, found %v", c.name, c.want, err)
		}
	}
}

// A list of lists that all point to the same bytes is small in memory but unbounded outside of it.
func TestLiftIsBounded(t *testing.T) {
	const n = 1 << 16
	mem := &ram{b: make([]byte, 8+n*8+1<<16)}
	// A list of n elements at 8, each a text of n bytes at 8+8*n.
	copy(mem.b, []byte{8, 0, 0, 0, 0, 0, 1, 0})
	for i := range n {
		copy(mem.b[8+i*8:], []byte{8, 0, 8, 0, 0, 0, 1, 0})
	}
	var out []string
	err := (&Lifter{Memory: mem, Budget: budget}).Lift(0, &out)
	require.True(t, err != nil && strings.Contains(err.Error(), "larger than allowed"),
		"expected an error about the size, found %v, %d texts", err, len(out))
}

// cancelledRam is a memory whose owner stops the reading at its third check.
type cancelledRam struct {
	ram
	checks int
}

var errEnough = errors.New("enough")

func (c *cancelledRam) CheckCancelled() error {
	c.checks++
	if c.checks == 3 {
		return errEnough
	}
	return nil
}

// The owner of a memory can stop the reading of a large value, flat or nested.
func TestLiftCanBeStopped(t *testing.T) {
	const n = 1 << 16
	flat := append([]byte{8, 0, 0, 0, 0, 0, 1, 0}, make([]byte, 4*n)...)
	nested := append([]byte{8, 0, 0, 0, 0, 0, 1, 0}, bytes.Repeat([]byte{8, 0, 0, 0, 1, 0, 0, 0}, n)...)
	for name, c := range map[string]struct {
		bytes []byte
		dst   any
	}{
		"flat":   {bytes: flat, dst: new([]uint32)},
		"nested": {bytes: nested, dst: new([][]uint32)},
		"texts":  {bytes: nested, dst: new([]string)},
	} {
		mem := &cancelledRam{ram: ram{b: c.bytes}}
		err := (&Lifter{Memory: mem, Budget: budget}).Lift(0, c.dst)
		assert.True(t, err != nil && strings.Contains(err.Error(), errEnough.Error()) && mem.checks == 3,
			"%s: expected an end at the third check, found %v after %d", name, err, mem.checks)
	}
}

// A variant has exactly one case.
func TestLowerRejectsInvalidVariants(t *testing.T) {
	for _, s := range []wit.Scalar{{}, {Null: wit.Set, String: wit.Ptr("x")}} {
		_, err := Lower(s)
		assert.True(t, err != nil, "expected %v to be rejected", s)
	}
}
