package convert

import (
	"errors"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// FuzzInsideTypes creates random schemas and rows of them, valid ones and ones with one changed byte, and writes them
// with all converters: they end within their limits, and what the JSON converter has written with its schema can be
// read again, within its own limit.
func FuzzInsideTypes(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(1<<15), uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, seed uint64, maxBytes, changed uint16, change byte) {
		reg := record.NewRegistry().ForConnector("fuzz")
		r := connectdatatest.New(seed)
		nodes := r.Schema()
		s, err := reg.Intern(nodes)
		if err != nil {
			return // too large
		}
		b := &record.Batch{Registry: reg}
		b.Retain(s)
		b.Data, err = connectdata.Append(nil, nodes, 0, r.Value(nodes, 0))
		require.NoError(t, err, "seed", seed)
		d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
		b.Data, err = connectdata.AppendSchemaless(b.Data, r.Dynamic(0))
		require.NoError(t, err, "seed", seed)
		schemaless := wit.ValueSlice{Encoding: wit.Schemaless, Start: d.Size, Size: uint32(len(b.Data)) - d.Size}
		if change != 0 && len(b.Data) > 0 {
			b.Data[int(changed)%len(b.Data)] ^= change
		}
		for _, declaration := range Declarations() {
			class := declaration.Class
			for _, value := range []wit.ValueSlice{d, schemaless} {
				out, _, err := newConverter(t, class, reg).Encode(t.Context(), []byte("before"), int(maxBytes), "t", b,
					value)
				require.AtMost(t, int(maxBytes)+len("before"), len(out), "seed", seed, class, "bytes")
				require.True(t, err == nil || (string(out) == "before" && len(err.Error()) <= 2*fault.MaxErrorBytes),
					"seed %d: %s: expected a short error and no output, found %.300v, %d bytes", seed, class, err,
					len(out))
			}
		}
		checkReread(t, ClassJSON, seed, reg, b, d)
		checkReread(t, ClassAvro, seed, reg, b, d)
	})
}

// checkReread writes a value with one converter and reads it with another: what is read is a value of its schema, or
// the error is the record's fault.
func checkReread(t *testing.T, class string, seed uint64, reg *record.Registry, b *record.Batch, d wit.ValueSlice) {
	writer := newConverter(t, class, reg)
	reader := writer
	if class == ClassJSON {
		reader = newConverter(t, class, reg)
	}
	text, isNull, err := writer.Encode(t.Context(), nil, 1<<24, "t", b, d)
	if err != nil || isNull {
		return
	}
	var recordFault *fault.Error
	decoded := &record.Batch{Registry: reg}
	got, err := reader.Decode(t.Context(), "t", text, decoded)
	switch {
	case err != nil && !errors.As(err, &recordFault):
		t.Fatalf("seed %d: %v", seed, err)
	case err != nil:
		return // duplicate names, floats that JSON cannot represent, null for required values
	case got.Encoding == wit.WithSchema:
		err := connectdata.Check(reg.Get(got.Schema).Nodes, decoded.Bytes(got))
		require.True(t, err == nil, "seed %d: %q was read as % x: %v", seed, text, decoded.Bytes(got), err)
	}
}
