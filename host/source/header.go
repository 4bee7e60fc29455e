package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// plainHeaders writes what has one obvious form.
type plainHeaders struct{ registry *record.Registry }

func (p plainHeaders) Encode(_ context.Context, dst []byte, most int, _ string, _ *record.Batch, h *datum.Header) ([]byte, bool, error) {
	if len(h.Value) > most {
		return dst, false, &convert.Error{Class: convert.TooLargeException, Text: fmt.Sprintf("%d bytes", len(h.Value))}
	}
	var v any
	var err error
	switch h.Form {
	case wit.Raw:
		return append(dst, h.Value...), false, nil
	case wit.Structured:
		s := p.registry.Get(h.Schema)
		if s == nil {
			return dst, false, fmt.Errorf("schema %d is not registered", h.Schema)
		}
		if k := s.Root().Kind; k >= wit.Array {
			return dst, false, errors.New("expected a text, bytes, number or boolean, found an array, map or struct")
		}
		v, _, err = datum.Read(s.Nodes, 0, h.Value)
	default:
		if len(h.Value) > 0 && (h.Value[0] == datum.TagArray || h.Value[0] == datum.TagMap) {
			return dst, false, errors.New("expected a text, bytes, number or boolean, found an array or map")
		}
		v, _, err = datum.ReadDynamic(h.Value)
	}
	if err != nil {
		return dst, false, err
	}
	switch v := v.(type) {
	case nil:
		return dst, true, nil
	case string:
		return append(dst, v...), false, nil
	case []byte:
		return append(dst, v...), false, nil
	case bool, int8, int16, int32, int64, float32, float64:
		return fmt.Append(dst, v), false, nil
	}
	return dst, false, fmt.Errorf("expected a text, bytes, number or boolean, found %T", v)
}
