package plugin

import (
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// known is a translation with one schema that was given (1) and one that was declared (GuestSchemas).
func known(t testing.TB) schemas {
	t.Helper()
	s := schemas{registry: record.NewRegistry()}
	registered, err := s.registry.Intern([]wit.Node{{Kind: wit.Text}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.need(registered.ID); err != nil {
		t.Fatal(err)
	}
	s.sent(true)
	if err := s.declare([]wit.Schema{{ID: wit.GuestSchemas, Nodes: []wit.Node{{Kind: wit.Int32}}}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzRows checks rows as a guest might return them: whatever their bytes, what passes lies inside the batch and names
// schemas of the registry only.
func FuzzRows(f *testing.F) {
	row := make([]byte, abi.RowBytes)
	f.Add(row, []byte("data"))
	abi.PutRows(row, []wit.Row{{Value: wit.Datum{Form: wit.Dynamic, Size: 4}, Headers: wit.Datum{Form: wit.Raw,
		Size: 4}, Key: wit.Datum{Form: wit.Structured,
		Schema: wit.GuestSchemas, Size: 2}}})
	f.Add(row, append(datum.AppendNumber([]byte{datum.TagStruct}, wit.GuestSchemas), 0))
	f.Fuzz(func(t *testing.T, row, data []byte) {
		if len(row) < abi.RowBytes {
			return
		}
		i := &Instance{schemas: known(t)}
		i.scratch.topics = []uint32{0}
		b := &record.Batch{Registry: i.schemas.registry, Topics: []string{"t"}, Data: append([]byte("before"), data...)}
		check := rowCheck{i: i, b: b, base: 6, size: uint32(len(data)), limit: 1 << 30}
		r := abi.AppendRows(nil, row[:abi.RowBytes])[0]
		in := &wit.Row{Value: wit.Datum{Form: wit.Structured, Schema: 1, Size: 3}}
		if check.row(0, &r, in) != nil {
			return
		}
		for _, d := range []wit.Datum{r.Key, r.Value, r.Headers} {
			content := b.Bytes(d)
			switch d.Form {
			case wit.Structured:
				if i.schemas.registry.Get(d.Schema) == nil {
					t.Errorf("schema %d is not the registry's", d.Schema)
				}
			case wit.Dynamic, wit.Raw:
				mentions, err := i.schemas.inside(d.Form, content, abi.Violated)
				for _, m := range mentions {
					if i.schemas.registry.Get(m.id) == nil {
						t.Errorf("%x mentions schema %d", content, m.id)
					}
				}
				if err != nil {
					t.Errorf("%x: %v", content, err)
				}
			}
		}
	})
}

// FuzzHeaders compares the walk over headers with the reader of package datum: what that one reads is walked without
// complaint.
func FuzzHeaders(f *testing.F) {
	f.Add(datum.AppendHeaders(nil, []datum.Header{{Name: "a", Form: wit.Structured, Schema: 1, Value: []byte{2}},
		{Name: "b", Form: wit.Dynamic,
			Value: []byte{datum.TagStruct, 2, 0}}, {Name: "", Form: wit.Raw}}))
	f.Fuzz(func(t *testing.T, block []byte) {
		headers, err := datum.Headers(nil, block)
		if err != nil {
			return
		}
		for _, h := range headers {
			if h.Form == wit.Dynamic && datum.CheckDynamic(h.Value) != nil && len(h.Value) != 1 {
				return
			}
		}
		s := known(t)
		if _, err := s.inside(wit.Raw, block, abi.Violated); err != nil {
			t.Errorf("%x: %v", block, err)
		}
	})
}

func TestDeclaredSchemasAreBounded(t *testing.T) {
	s := known(t)
	var err error
	n := 0
	for ; err == nil && n < 2*maxDeclaredSchemas; n++ {
		name := strconv.Itoa(n)
		err = s.declare([]wit.Schema{{ID: wit.GuestSchemas + 1 + uint32(n),
			Nodes: []wit.Node{{Kind: wit.Text, Name: &name}}}})
	}
	if err == nil || err.Error() != "declares more than 10000 schemas" || n != maxDeclaredSchemas {
		t.Errorf("%d: %v", n, err)
	}
	for want, w := range map[string]wit.Schema{
		"declares schema 7: expected an id of 2147483648 or above, those below are the host's": {ID: 7,
			Nodes: []wit.Node{{}}},
		"declares schema 0x80000000 twice with different nodes": {ID: wit.GuestSchemas,
			Nodes: []wit.Node{{Kind: wit.Bytes}}},
		"declares schema 0x80000009: schema: expected at least one node, found none": {ID: wit.GuestSchemas + 9},
	} {
		if err := s.declare([]wit.Schema{w}); err == nil || err.Error() != want {
			t.Errorf("expected %q, found %v", want, err)
		}
	}
	if err := s.declare([]wit.Schema{{ID: wit.GuestSchemas, Nodes: []wit.Node{{Kind: wit.Int32}}}}); err != nil {
		t.Errorf("the same again: %v", err)
	}
}
