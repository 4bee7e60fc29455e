package chain

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/plugins/smt/batch"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/connectdata/connectdatatest"
)

// Chains of DropHeaders and HoistField, next to each other and to transforms that add headers or change maps, have the
// results of the interpreter. Names of headers and rows of one kind repeat, so that most rows take the fast path.
func TestFastPathOfDropHeadersAndHoistField(t *testing.T) {
	fast := 0
	interpreted := 0
	for seed := range uint64(2000) {
		random := maker{connectdatatest.New(seed)}
		var stages []wit.Stage
		for range 1 + random.IntN(4) {
			name := pool[random.IntN(3)]
			stages = append(stages, []wit.Stage{stageOf(ClassDropHeaders, "headers", name),
				stageOf(ClassDropHeaders, "headers", "a,b"), stageOf(ClassHoistValue, "field", name),
				stageOf(ClassInsertHeader, "header", name, "value.literal", "7"),
				stageOf(ClassHeaderFromValue, "fields", name, "headers", name, "operation", "move"),
				stageOf(ClassInsertValue, "static.field", name, "static.value", "x"),
				stageOf(ClassExtractValue, "field", name)}[random.IntN(7)])
		}
		call := testCall{topics: []string{"t"}}
		nodes := random.structure()
		hasSchema := random.IntN(4) == 0
		keys := random.Perm(len(pool))[:random.IntN(4)]
		for range 12 {
			if hasSchema {
				call.add(t, nodes, random.Value(nodes, 0))
			} else {
				call.add(t, nil, random.schemaless(keys))
			}
			row := &call.rows[len(call.rows)-1]
			call.data = append(call.data, make([]byte, kernel.Room)...)
			if random.IntN(4) > 0 {
				row.Headers = random.repeated(&call)
			}
		}
		schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
		through := func(plain bool) []outcome {
			engine, context := prepared(t, stages...)
			engine.fastPath.Off = plain
			data := slices.Clone(call.data) // results may be appended in place
			out, faults := apply(t, engine, context, schemas, testCall{call.topics, call.rows, data})
			data = slices.Clone(call.data)
			result := outcomes(t, engine, len(call.rows), out, faults)
			if plain {
				return result
			}
			chain, err := engine.chain(context)
			noError(t, err)
			engine.start(batch.Input{Topics: call.topics, Rows: call.rows, Data: data})
			for i := range call.rows {
				if engine.fastPath.Run(chain.routes, i) > i {
					fast++
				} else {
					interpreted++
				}
			}
			return result
		}
		if want, got := through(true), through(false); !reflect.DeepEqual(want, got) {
			t.Fatalf("seed %d, %+v: differs (-interpreter +fast path):\n%s", seed, stages, cmp.Diff(want, got))
		}
	}
	if fast < 4000 || interpreted < 2000 {
		t.Errorf("expected 4,000 rows on the fast path and 2,000 others, found %d and %d", fast, interpreted)
	}
}

// repeated returns up to three headers with three names.
func (m maker) repeated(call *testCall) wit.ValueSlice {
	var list []connectdata.Header
	for range m.IntN(4) {
		list = append(list, connectdata.Header{Name: pool[m.IntN(3)], Encoding: wit.Raw, Value: []byte(m.text())})
	}
	start := len(call.data)
	call.data = connectdata.AppendHeaders(call.data, list)
	return wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(call.data) - start)}
}

// Rows without schema and rows whose headers all go, or none, take the fast path from the second one on.
func TestDropHeadersAndHoistFieldAreFast(t *testing.T) {
	insert := stageOf(ClassInsertHeader, "header", "h", "value.literal", "7")
	drop := stageOf(ClassDropHeaders, "headers", "h,i")
	for name, c := range map[string]struct {
		stages  []wit.Stage
		headers []string
	}{
		"hoist":             {[]wit.Stage{stageOf(ClassHoistValue, "field", "all")}, nil},
		"two hoists":        {[]wit.Stage{stageOf(ClassHoistValue, "field", "a"), stageOf(ClassHoistValue, "field", "b")}, nil},
		"added and dropped": {[]wit.Stage{insert, drop}, nil},
		"nothing dropped":   {[]wit.Stage{drop}, []string{"a", "b"}},
		"all dropped":       {[]wit.Stage{drop}, []string{"h", "i", "h"}},
		"all replaced":      {[]wit.Stage{drop, insert}, []string{"h", "i"}},
	} {
		t.Run(name, func(t *testing.T) {
			call := testCall{topics: []string{"t"}}
			var list []connectdata.Header
			for _, header := range c.headers {
				list = append(list, connectdata.Header{Name: header, Encoding: wit.Raw, Value: []byte("x")})
			}
			for range 5 {
				call.add(t, nil, connectdata.Map{{Key: "a", Value: "text"}, {Key: "b", Value: int64(1)}})
				if list != nil {
					start := len(call.data)
					call.data = connectdata.AppendHeaders(call.data, list)
					call.rows[len(call.rows)-1].Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start),
						Size: uint32(len(call.data) - start)}
				}
				call.data = append(call.data, make([]byte, kernel.Room)...)
			}
			engine, context := prepared(t, c.stages...)
			_, faults := apply(t, engine, context, nil, call)
			chain, err := engine.chain(context)
			noError(t, err)
			engine.start(batch.Input{Topics: call.topics, Rows: call.rows, Data: call.data})
			if end := engine.fastPath.Run(chain.routes, 1); end != len(call.rows) || len(faults) > 0 {
				t.Errorf("expected the rows up to %d, found those up to %d, %v", len(call.rows), end, faults)
			}
		})
	}
}
