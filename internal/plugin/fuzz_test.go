package plugin

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// newTranslator returns a translator with one received schema (1) and one declared schema (GuestSchemas).
func newTranslator(t testing.TB, registry *record.Registry) abi.Translator {
	t.Helper()
	s := abi.NewTranslator(registry, nil)
	registered, err := registry.Intern([]wit.SchemaNode{{Kind: wit.String}})
	require.NoError(t, err)
	require.NoError(t, s.Need(registered.ID))
	s.Sent(true)
	require.NoError(t, s.Declare([]wit.Schema{{ID: wit.GuestSchemas, Nodes: []wit.SchemaNode{{Kind: wit.Int32}}}}))
	return s
}

// FuzzRows checks arbitrary rows of a guest: accepted rows are inside the batch and refer to schemas of the registry.
func FuzzRows(f *testing.F) {
	row := make([]byte, abi.RowBytes)
	f.Add(row, []byte("data"))
	abi.PutRows(row, []wit.Row{{
		Key:     wit.ValueSlice{Encoding: wit.WithSchema, Schema: wit.GuestSchemas, Size: 2},
		Value:   wit.ValueSlice{Encoding: wit.Schemaless, Size: 4},
		Headers: wit.ValueSlice{Encoding: wit.Raw, Size: 4},
	}})
	f.Add(row, append(connectdata.AppendNumber([]byte{connectdata.TagStruct}, wit.GuestSchemas), 0))
	f.Fuzz(func(t *testing.T, row, data []byte) {
		if len(row) < abi.RowBytes {
			return
		}
		i := &Instance{}
		registry := record.NewRegistry()
		i.schemas = newTranslator(t, registry)
		i.buffers.topics = []uint32{0}
		b := &record.Batch{Registry: registry, Topics: []string{"t"}, Data: append([]byte("before"), data...)}
		check := rowCheck{instance: i, batch: b, base: 6, size: uint32(len(data)), limit: 1 << 30}
		r := abi.AppendRows(nil, row[:abi.RowBytes])[0]
		input := &wit.Row{Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: 1, Size: 3}}
		if check.translateRow(0, &r, input) != nil {
			return
		}
		for _, d := range []wit.ValueSlice{r.Key, r.Value, r.Headers} {
			content := b.Bytes(d)
			switch d.Encoding {
			case wit.WithSchema:
				assert.True(t, registry.Get(d.Schema) != nil, "schema %d is not the registry's", d.Schema)
			case wit.Schemaless, wit.Raw:
				err := i.schemas.NeedReferenced(d.Encoding, content) // looks up referenced schemas in the registry
				assert.True(t, err == nil, "%x: %v", content, err)
			}
		}
	})
}
