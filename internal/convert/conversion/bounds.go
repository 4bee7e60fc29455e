package conversion

import (
	"context"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/fault"
)

// What a conversion may make of a record, whatever its bytes say.
const (
	// MaxDecodedBytes is how many bytes one key or value of a topic may become in a batch: members that are not there
	// become defaults, so that a document of some megabytes could become any number of them.
	MaxDecodedBytes = 64 << 20
	// MaxEnvelopeBytes is how long the JSON of a schema may be, with its defaults and their escapes: it stands in every
	// record.
	MaxEnvelopeBytes = 16 << 20
)

// WatchEvery is how many items of arrays and maps are converted between two looks at the context.
const WatchEvery = 1024

// Budget bounds one conversion of a value into text.
type Budget struct {
	Ctx context.Context
	// Most is the length of the output that must not be passed.
	Most int
	// allowed is how much of it is this value's, for the error.
	allowed int
	// Empty counts structures without bytes, items all items.
	Empty, items uint
}

// Start begins a value whose output may be that long, after what is there.
func (k *Budget) Start(ctx context.Context, dst []byte, most int) {
	k.Ctx, k.Most, k.allowed, k.Empty, k.items = ctx, len(dst)+most, most, 0, 0
}

// Room refuses output of so many bytes more.
func (k *Budget) Room(dst []byte, more int) *fault.Error {
	if more > k.Most-len(dst) {
		return k.TooLarge()
	}
	return nil
}

// TooLarge is the error of output that is longer than it may be.
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

// Bound is item and room for a [values.Writer].
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
