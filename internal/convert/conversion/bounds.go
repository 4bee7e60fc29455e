package conversion

import (
	"context"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
)

const (
	// MaxDecodedBytes bounds a decoded key or value: defaults of missing fields could make a small document large.
	MaxDecodedBytes = 64 << 20
	// MaxEnvelopeBytes bounds the JSON of a schema, which each record contains.
	MaxEnvelopeBytes = 16 << 20
)

// ContextCheckItems is how many items are converted between two checks of the context.
const ContextCheckItems = 1024

// Budget bounds the conversion of one value.
type Budget struct {
	Ctx     context.Context
	MaxLen  int // the maximum length of the output, including what preceded it
	allowed int // the part of MaxLen for this value, for the error message
	// Empty counts structs without bytes. Package connectjson counts them.
	Empty uint
	items uint // counts items of arrays and maps, for checks of the context
}

// Start resets the budget for a value of at most maxBytes, which is appended to dst.
func (b *Budget) Start(ctx context.Context, dst []byte, maxBytes int) {
	b.Ctx = ctx
	b.MaxLen = len(dst) + maxBytes
	b.allowed = maxBytes
	b.Empty = 0
	b.items = 0
}

// CheckRoom returns an error if dst has no room for more bytes.
func (b *Budget) CheckRoom(dst []byte, more int) *fault.Error {
	if more > b.MaxLen-len(dst) {
		return b.TooLarge()
	}
	return nil
}

// TooLarge returns the error of [Budget.CheckRoom].
func (b *Budget) TooLarge() *fault.Error {
	return fault.New(fault.TooLargeException, "more than "+strconv.Itoa(b.allowed)+" bytes when serialized")
}

// CountItem must be called before each item of an array or map. It returns an error if dst is too long or the context
// has ended, which it checks every [ContextCheckItems].
func (b *Budget) CountItem(dst []byte) *fault.Error {
	b.items++
	if b.items%ContextCheckItems == 0 || len(dst) > b.MaxLen {
		return b.check(dst)
	}
	return nil
}

// CheckItem is [Budget.CountItem] and [Budget.CheckRoom] for a [values.Writer].
func (b *Budget) CheckItem(dst []byte, more int) error {
	err := b.CountItem(dst)
	if err == nil {
		err = b.CheckRoom(dst, more)
	}
	if err != nil {
		return fault.ContextError(b.Ctx, err)
	}
	return nil
}

// CheckEnd returns err, which may be nil, of the value that ended at input[pos], or an error if input has more bytes or
// the output is too long.
func (b *Budget) CheckEnd(out, input []byte, pos int, err *fault.Error) error {
	if err == nil && pos != len(input) {
		err = fault.Malformed(pos, "bytes left over")
	}
	if err == nil {
		err = b.CheckRoom(out, 0)
	}
	if err != nil {
		return fault.ContextError(b.Ctx, err)
	}
	return nil
}

func (b *Budget) check(dst []byte) *fault.Error {
	if b.Ctx.Err() != nil {
		return fault.Canceled
	}
	return b.CheckRoom(dst, 0)
}
