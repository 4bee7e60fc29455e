package convert

import (
	"context"
	"errors"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// SimpleHeaders is Kafka Connect's SimpleHeaderConverter for headers on their way to Kafka: a text as it is, and
// something like JSON of all else. It holds nothing between calls. Dates are in UTC, whatever the zone of the process;
// as in Kafka a time before 1970-01-02 is written without its date.
type SimpleHeaders struct{ Registry *record.Registry }

// Encode appends the bytes of a header to dst, at most `most` of them; null tells that it has none.
func (c SimpleHeaders) Encode(ctx context.Context, dst []byte, most int, _ string, _ *record.Batch,
	h *connectdata.Header) (
	[]byte, bool, error) {
	var k conversion.Budget
	k.Start(ctx, dst, most)
	if err := k.Room(dst, 0); err != nil {
		return dst, false, err
	}
	if h.Encoding == wit.Raw {
		return appendRaw(ctx, dst, most, h.Value)
	}
	v, nodes, err := conversion.ValueOf(c.Registry, "SimpleHeaderConverter", h.Encoding, h.Schema, h.Value)
	if err != nil || v == nil {
		return dst, err == nil, err
	}
	out, err := (&values.Writer{Nodes: nodes, Limit: k.Bound}).Append(dst, v)
	if wrong, is := errors.AsType[*values.UnwritableError](err); is {
		err = fault.Data("SimpleHeaderConverter: %v", wrong)
	}
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}
