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
	Ctx    context.Context
	MaxLen int // the maximum length of the output, including what preceded it
	// allowed is the part of MaxLen for this value, for the error message.
	allowed      int
	Empty, items uint // Empty counts structs without bytes
}

// Start starts a value of at most most bytes, appended to dst.
func (k *Budget) Start(ctx context.Context, dst []byte, maxBytes int) {
	k.Ctx, k.MaxLen, k.allowed, k.Empty, k.items = ctx, len(dst)+maxBytes, maxBytes, 0, 0
}

// CheckRoom returns an error if dst has no room for more bytes.
func (k *Budget) CheckRoom(dst []byte, more int) *fault.Error {
	if more > k.MaxLen-len(dst) {
		return k.TooLarge()
	}
	return nil
}

// TooLarge returns the error of Room.
func (k *Budget) TooLarge() *fault.Error {
	return fault.New(fault.TooLargeException, "more than "+strconv.Itoa(k.allowed)+" bytes when serialized")
}

// CountItem is called for each item of an array or map.
func (k *Budget) CountItem(dst []byte) *fault.Error {
	if k.items++; k.items%ContextCheckItems == 0 || len(dst) > k.MaxLen {
		return k.check(dst)
	}
	return nil
}

// CheckItem is Item and Room, for a [values.Writer].
func (k *Budget) CheckItem(dst []byte, more int) error {
	err := k.CountItem(dst)
	if err == nil {
		err = k.CheckRoom(dst, more)
	}
	if err != nil {
		return fault.ContextError(k.Ctx, err)
	}
	return nil
}

func (k *Budget) check(dst []byte) *fault.Error {
	if k.Ctx.Err() != nil {
		return fault.Canceled
	}
	return k.CheckRoom(dst, 0)
}
