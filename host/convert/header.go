package convert

import (
	"context"
	"errors"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/values"
)

// SimpleHeaders is Kafka Connect's SimpleHeaderConverter for headers on their way to Kafka: a text as it is, and
// something like JSON of all else. It holds nothing between calls. Dates are in UTC, whatever the zone of the process;
// as in Kafka a time before 1970-01-02 is written without its date.
type SimpleHeaders struct{ Registry *record.Registry }

// Encode appends the bytes of a header to dst, at most `most` of them; null tells that it has none.
func (c SimpleHeaders) Encode(ctx context.Context, dst []byte, most int, _ string, _ *record.Batch, h *datum.Header) (
	[]byte, bool, error) {
	var k budget
	k.start(ctx, dst, most)
	if err := k.room(dst, 0); err != nil {
		return dst, false, err
	}
	w := values.Writer{Bound: func(dst []byte, more int) error {
		err := k.item(dst)
		if err == nil {
			err = k.room(dst, more)
		}
		if err != nil {
			return endedBy(ctx, err)
		}
		return nil
	}}
	var v any
	var err error
	size := 0
	switch h.Form {
	case wit.Raw:
		return appendRaw(ctx, dst, most, h.Value)
	case wit.Structured:
		s := c.Registry.Get(h.Schema)
		if s == nil {
			return dst, false, dataError("SimpleHeaderConverter: schema %d is not registered", h.Schema)
		}
		w.Nodes = s.Nodes
		v, size, err = datum.Read(s.Nodes, 0, h.Value)
	default:
		v, size, err = datum.ReadDynamic(h.Value)
	}
	if err == nil && size != len(h.Value) {
		err = broken(size, "bytes left over")
	}
	if err != nil {
		return dst, false, dataError("SimpleHeaderConverter: %v", err)
	}
	if v == nil {
		return dst, true, nil
	}
	out, err := w.Append(dst, v)
	if wrong := (*values.Unwritable)(nil); errors.As(err, &wrong) {
		err = dataError("SimpleHeaderConverter: %v", wrong)
	}
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}
