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

// WatchEvery is how many items are converted between two checks of the context.
const WatchEvery = 1024

// Budget bounds the conversion of one value.
type Budget struct {
	Ctx  context.Context
	Most int // the maximum length of the output, including what preceded it
	// allowed is the part of Most for this value, for the error message.
	allowed      int
	Empty, items uint // Empty counts structs without bytes
}

// Start starts a value of at most most bytes, appended to dst.
func (k *Budget) Start(ctx context.Context, dst []byte, most int) {
	k.Ctx, k.Most, k.allowed, k.Empty, k.items = ctx, len(dst)+most, most, 0, 0
}

// Room returns an error if dst has no room for more bytes.
func (k *Budget) Room(dst []byte, more int) *fault.Error {
	if more > k.Most-len(dst) {
		return k.TooLarge()
	}
	return nil
}

// TooLarge returns the error of Room.
func (k *Budget) TooLarge() *fault.Error {
	return fault.New(fault.TooLargeException, "more than "+strconv.Itoa(k.allowed)+" bytes when serialized")
}

// Item is called for each item of an array or map.
func (k *Budget) Item(dst []byte) *fault.Error {
	if k.items++; k.items%WatchEvery == 0 || len(dst) > k.Most {
		return k.look(dst)
	}
	return nil
}

// Bound is Item and Room, for a [values.Writer].
func (k *Budget) Bound(dst []byte, more int) error {
	err := k.Item(dst)
	if err == nil {
		err = k.Room(dst, more)
	}
	if err != nil {
		return fault.EndedBy(k.Ctx, err)
	}
	return nil
}

func (k *Budget) look(dst []byte) *fault.Error {
	if k.Ctx.Err() != nil {
		return fault.Ended
	}
	return k.Room(dst, 0)
}
