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

// SimpleHeaders is Kafka Connect's SimpleHeaderConverter: strings are written as they are, other values in a form like
// JSON. Times are in UTC; times before 1970-01-02 are written without the date, as in Kafka.
type SimpleHeaders struct{ Registry *record.Registry }

// Encode implements [Headers].
func (s SimpleHeaders) Encode(ctx context.Context, dst []byte, maxBytes int, _ string, _ *record.Batch,
	h *connectdata.Header) ([]byte, bool, error) {
	var k conversion.Budget
	k.Start(ctx, dst, maxBytes)
	if err := k.CheckRoom(dst, 0); err != nil {
		return dst, false, err
	}
	if h.Encoding == wit.Raw {
		return appendRaw(ctx, dst, maxBytes, h.Value)
	}
	v, nodes, err := conversion.DecodeValue(s.Registry, "SimpleHeaderConverter", h.Encoding, h.Schema, h.Value)
	if err != nil || v == nil {
		return dst, err == nil, err
	}
	out, err := (&values.Writer{Nodes: nodes, Limit: k.CheckItem}).Append(dst, v)
	if unwritable, ok := errors.AsType[*values.UnwritableError](err); ok {
		err = fault.Data("SimpleHeaderConverter: %v", unwritable)
	}
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}

// Decode returns the bytes unchanged: parsing them as SimpleHeaderConverter does would only guess.
func (SimpleHeaders) Decode(_ context.Context, _, name string, data []byte,
	_ *record.Batch) (connectdata.Header, error) {
	if data == nil {
		return connectdata.Header{Name: name, Encoding: wit.Schemaless, Value: nullValue}, nil
	}
	return connectdata.Header{Name: name, Encoding: wit.Raw, Value: data}, nil
}
