package convert

import (
	"errors"
	"testing"

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
	f.Fuzz(func(t *testing.T, seed uint64, maxBytes, at uint16, change byte) {
		reg := record.NewRegistry().ForConnector("fuzz")
		r := connectdatatest.New(seed)
		nodes := r.Schema()
		s, err := reg.Intern(nodes)
		if err != nil {
			return // too large
		}
		b := &record.Batch{Registry: reg}
		b.Retain(s)
		if b.Data, err = connectdata.Append(nil, nodes, 0, r.Value(nodes, 0)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		d := wit.ValueSlice{Encoding: wit.WithSchema, Schema: s.ID, Size: uint32(len(b.Data))}
		if b.Data, err = connectdata.AppendSchemaless(b.Data, r.Dynamic(0)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		dynamic := wit.ValueSlice{Encoding: wit.Schemaless, Start: d.Size, Size: uint32(len(b.Data)) - d.Size}
		if change != 0 && len(b.Data) > 0 {
			b.Data[int(at)%len(b.Data)] ^= change
		}
		for _, declared := range Declarations() {
			class := declared.Class
			for _, datum := range []wit.ValueSlice{d, dynamic} {
				out, _, err := newConverter(t, class, reg).Encode(t.Context(), []byte("before"), int(maxBytes), "t", b,
					datum)
				if len(out) > int(maxBytes)+len("before") {
					t.Fatalf("seed %d: %s wrote %d bytes, at most %d are allowed", seed, class, len(out), maxBytes)
				}
				if err != nil && (string(out) != "before" || len(err.Error()) > 2*fault.MaxErrorBytes) {
					t.Fatalf("seed %d: %s: %.300v with %d bytes", seed, class, err, len(out))
				}
			}
		}
		reread(t, ClassJSON, seed, reg, b, d)
		reread(t, ClassAvro, seed, reg, b, d)
	})
}

// reread writes a datum with one JSON converter and reads it with another.
func reread(t *testing.T, class string, seed uint64, reg *record.Registry, b *record.Batch, d wit.ValueSlice) {
	writer := newConverter(t, class, reg)
	reader := writer
	if class == ClassJSON {
		reader = newConverter(t, class, reg)
	}
	text, null, err := writer.Encode(t.Context(), nil, 1<<24, "t", b, d)
	if err != nil || null {
		return
	}
	var e *fault.Error
	into := &record.Batch{Registry: reg}
	got, err := reader.Decode(t.Context(), "t", text, into)
	switch {
	case err != nil && !errors.As(err, &e):
		t.Fatalf("seed %d: %v", seed, err)
	case err != nil:
		return // duplicate names, floats that JSON cannot represent, null for required values
	case got.Encoding == wit.WithSchema:
		if bad := connectdata.Check(reg.Get(got.Schema).Nodes, into.Bytes(got)); bad != nil {
			t.Fatalf("seed %d: %q was read as % x: %v", seed, text, into.Bytes(got), bad)
		}
	}
}
