package source

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

type order struct {
	ID       int64 `json:"id"`
	Small    int8
	Note     *string           `json:"note,omitempty"`
	At       time.Time         `json:"at"`
	Until    *time.Time        `json:"until"`
	Raw      []byte            `json:"raw"`
	Lines    []line            `json:"lines"`
	Labels   map[string]string `json:"labels"`
	Price    float64           `json:"price"`
	Left     string            `json:"-"`
	internal int
}

type line struct {
	Number int32
	Paid   bool
}

// A Go value has the schema of its type, and is decoded from the bytes as the value tree of its type.
func TestSchemaOfGoTypes(t *testing.T) {
	var s schemas
	var out wit.DecodeResult
	v := order{
		ID:       7,
		Small:    -1,
		At:       time.UnixMilli(-1),
		Raw:      []byte{1},
		Lines:    []line{{Number: 1, Paid: true}, {Number: 2}},
		Labels:   map[string]string{"b": "2", "a": "1"},
		Price:    1.5,
		Left:     "out",
		internal: 3,
	}
	var err error
	for range 2 {
		var d wit.ValueSlice
		if d, out.Data, err = s.append(&out, v); err != nil {
			t.Fatal(err)
		}
		require.True(t, len(out.Schemas) == 1 && d.Schema == out.Schemas[0].ID && d.Encoding == wit.WithSchema,
			"expected one schema for the row, found %d, and %#x in the row", len(out.Schemas), d.Schema)
		nodes := out.Schemas[0].Nodes
		got, n, err := connectdata.Read(nodes, 0, out.Data[d.Start:d.Start+d.Size])
		if err != nil || n != int(d.Size) {
			t.Fatal(n, err)
		}
		want := connectdata.Struct{int64(7), int8(-1), nil, int64(-1), nil, []byte{1},
			connectdata.List{connectdata.Struct{int32(1), true}, connectdata.Struct{int32(2), false}},
			connectdata.Map{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, 1.5}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		var names []string
		for _, m := range nodes[0].Fields {
			names = append(names, m.Name)
		}
		if diff := cmp.Diff(strings.Fields("id Small note at until raw lines labels price"), names); diff != "" {
			t.Error(diff)
		}
		if *nodes[0].Name != "order" || *nodes[nodes[0].Fields[3].Node].Name != wit.NameTimestamp ||
			!nodes[nodes[0].Fields[4].Node].Optional {
			t.Errorf("unexpected nodes %+v", nodes)
		}
	}
}

type loop struct{ Next *loop }

// A type without a schema is rejected by the name of its field. A schema that was declared with a failed page is
// declared again.
func TestTypesWithoutSchema(t *testing.T) {
	for want, v := range map[string]any{
		"Next: source.loop: a recursive type": loop{},
		"a value of type uint64":              struct{ A struct{ B uint64 } }{},
		"A: B: a value of type chan int":      struct{ A struct{ B chan int } }{},
		"a value of type map[int]string":      map[int]string{},
		"a value of type *int":                reflect.New(reflect.TypeFor[*int]()).Interface(),
	} {
		var s schemas
		if _, _, err := s.append(&wit.DecodeResult{}, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: expected an error with %q, got %v", v, want, err)
		}
	}
	p := Pages(nil).(*pages)
	page := &openPage{feed: &Feed{PollEvery: time.Second}, offset: Offset{}}
	if _, err := p.finish(page, Page{Records: []Record{{Value: line{}}, {Value: loop{}}}}); err == nil {
		t.Fatal("expected a page with a record without a schema to fail")
	}
	out, err := p.finish(page, Page{Records: []Record{{Value: line{}}}})
	assert.True(t, err == nil && len(out.Schemas) == 1,
		"expected the schema again, since its page failed, found %d schemas, %v", len(out.Schemas), err)
}

// Offsets are unchanged after a round trip, and an empty one differs from a missing one.
func TestOffset(t *testing.T) {
	want := Offset{"text": "a", "number": int64(5), "real": 0.5, "flag": true, "none": nil}
	fields, err := want.entries()
	require.NoError(t, err)
	diff := cmp.Diff(want, offsetOf(fields))
	assert.True(t, diff == "", "%v", diff)
	empty, err := Offset{}.entries()
	assert.True(t, err == nil && len(empty) != 0 && len(offsetOf(empty)) == 0,
		"expected a field for an empty offset, found %v, %v", empty, err)
	if _, err := (Offset{"a": []int{1}}).entries(); err == nil {
		t.Error("expected an offset with a list to be rejected")
	}
}

// A page that is too long is rejected before it is buffered.
func TestPageTooLong(t *testing.T) {
	p := Pages(nil).(*pages)
	p.open[1] = &openPage{feed: &Feed{}}
	piece := make([]byte, 1<<20)
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		_, err = p.Decode(1, "", 200, piece, false)
	}
	assert.True(t, err != nil && n == MaxPageBytes>>20+1 && len(p.open) == 0,
		"expected an error after %d MiB, found %v after %d", MaxPageBytes>>20+1, err, n)
}
