package sink

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// headed is a converter that notes what it is given.
type headed struct {
	convert.Converter
	header string
}

func (h *headed) DecodeBy(_ context.Context, _ string, header, _ []byte, _ *record.Batch) (wit.Datum, error) {
	h.header = string(header)
	return wit.Datum{}, nil
}

func (h *headed) Decode(context.Context, string, []byte, *record.Batch) (wit.Datum, error) {
	h.header = "none"
	return wit.Datum{}, nil
}

// The header that says the schema of the key is not that of the value, and the last of one name counts, as in Kafka.
func TestSchemaHeadersAreTheirConverters(t *testing.T) {
	r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "__value_schema_id", Value: []byte("first")},
		{Key: "__value_schema_id", Value: []byte("last")}, {Key: "other"}}}
	for key, want := range map[bool]string{true: "none", false: "last"} {
		h := &headed{}
		if _, err := decode(t.Context(), h, key, r, nil, nil); err != nil || h.header != want {
			t.Errorf("key %v: expected %q, found %q, %v", key, want, h.header, err)
		}
	}
}
