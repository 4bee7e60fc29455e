package plugin

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// FuzzInsideRows tests random schemas, rows, headers and topics of a guest: valid ones pass; with one changed number
// they pass or are rejected, and accepted ones are inside the batch with its schemas.
func FuzzInsideRows(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, seed uint64, position uint16, mask byte) {
		registry := record.NewRegistry().ForConnector("fuzz")
		i := &Instance{schemas: abi.NewTranslator(registry, nil)}
		i.buffers.topics = []uint32{0, 1, 0}
		b := &record.Batch{Registry: registry, Topics: []string{"t", "u"}, Data: []byte("before")}
		i.schemas.SetBatch(b)
		r := connectdatatest.New(seed)
		base := len(b.Data)
		appendData := func(form wit.Encoding, schema uint32, content []byte) wit.ValueSlice {
			d := wit.ValueSlice{Encoding: form, Schema: schema, Start: uint32(len(b.Data) - base),
				Size: uint32(len(content))}
			b.Data = append(b.Data, content...)
			return d
		}
		var rows []wit.Row
		for n := range uint32(1 + r.IntN(5)) {
			nodes := r.Schema()
			id := wit.GuestSchemas + n
			if i.schemas.Declare([]wit.Schema{{ID: id, Nodes: nodes}}) != nil {
				return // too large
			}
			value, err := connectdata.Append(nil, nodes, 0, r.Value(nodes, 0))
			require.NoError(t, err, "seed", seed)
			dynamic, err := connectdata.AppendSchemaless(nil, connectdata.List{r.Dynamic(0),
				connectdata.Nested{Schema: id, Bytes: value}})
			require.NoError(t, err, "seed", seed)
			headers := connectdata.AppendHeaders(nil, []connectdata.Header{
				{Name: "s", Encoding: wit.WithSchema, Schema: id, Value: value},
				{Name: "d", Encoding: wit.Schemaless, Value: dynamic},
			})
			rows = append(rows, wit.Row{
				Topic:     uint32(r.IntN(3)),
				Partition: int32(r.IntN(4)) - 1,
				Key:       appendData(wit.Schemaless, 0, dynamic),
				Value:     appendData(wit.WithSchema, id, value),
				Headers:   appendData(wit.Raw, 0, headers),
			})
		}
		list := make([]byte, len(rows)*abi.RowBytes)
		abi.PutRows(list, rows)
		if mask != 0 {
			if size := len(list) + len(b.Data) - base; int(position)%size < len(list) {
				list[int(position)%size] ^= mask
			} else {
				b.Data[base+int(position)%size-len(list)] ^= mask
			}
		}
		check := rowCheck{instance: i, batch: b, base: uint32(base), size: uint32(len(b.Data) - base), limit: 1 << 24}
		for n, row := range abi.AppendRows(nil, list) {
			if err := check.translateRow(n, &row, nil); err != nil {
				require.True(t, mask != 0, "seed %d, row %d: %v", seed, n, err)
				return
			}
			for _, d := range []wit.ValueSlice{row.Key, row.Value, row.Headers} {
				require.True(t, d.Encoding == wit.Absent || len(b.Bytes(d)) <= len(b.Data),
					"seed %d, row %d: %+v", seed, n, d)
				require.True(t, d.Encoding != wit.WithSchema || registry.Get(d.Schema) != nil,
					"seed %d, row %d: the batch does not retain schema %d", seed, n, d.Schema)
			}
			require.True(t, int(row.Topic) < len(b.Topics), "seed %d, row %d: topic %d", seed, n, row.Topic)
		}
		require.True(t, len(b.Data) <= 1<<22, "seed %d: %d bytes", seed, len(b.Data))
	})
}

// FuzzDeclarations tests random descriptions, feeds and offsets: accepted ones are within the limits.
func FuzzDeclarations(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		words := []string{"", "a", "shop#{n}.", "{m}", "{name}", "{n}", "}", "{", "Größe", strings.Repeat("x", 150)}
		anyText := func() string {
			var text strings.Builder
			for range r.IntN(5) {
				text.WriteString(words[r.IntN(len(words))])
			}
			return text.String()
		}
		description := wit.Description{Name: anyText(), Version: anyText(), Documentation: anyText()}
		for range r.IntN(4) {
			component := wit.Component{Name: anyText(), Documentation: anyText(), Kind: wit.ComponentKind(r.IntN(4))}
			for range r.IntN(3) {
				component.Aliases = append(component.Aliases, anyText())
				component.Prefixes = append(component.Prefixes, anyText())
			}
			for range r.IntN(1 + 1<<r.IntN(12)) {
				key := wit.ConfigKey{Name: anyText(), Documentation: anyText()}
				for range r.IntN(3) {
					rules := [...]wit.Rule{{Pattern: wit.Ptr(anyText())}, {Alias: wit.Ptr(anyText())},
						{Role: wit.Ptr(anyText())}, {Allowed: &[]string{anyText(), anyText()}}}
					key.Rules = append(key.Rules, rules[r.IntN(len(rules))])
				}
				component.Settings = append(component.Settings, key)
			}
			description.Components = append(description.Components, component)
		}
		if checkLists(t.Context(), &description) == nil {
			for _, component := range description.Components {
				for _, key := range component.Settings {
					assert.True(t, len(key.Name) <= maxNameBytes && strings.Count(key.Name, "{n}") <= 1,
						"seed %d: %q was accepted", seed, key.Name)
				}
			}
		}
		fields := make([]wit.OffsetEntry, r.IntN(1+1<<r.IntN(13)))
		size := 0
		for i := range fields {
			fields[i] = [...]wit.OffsetEntry{wit.StringEntry(anyText(), anyText()),
				wit.IntegerEntry(anyText(), r.Int64()), wit.NullEntry(anyText())}[r.IntN(3)]
			size += len(fields[i].Name)
		}
		assert.True(t, CheckOffset("next", fields) != nil || size <= wit.MaxOffsetBytes,
			"seed %d: an offset of more than %d bytes was accepted", seed, size)
	})
}
