package chain

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
			stages = append(stages, []wit.Stage{
				stageOf(ClassDropHeaders, "headers", name),
				stageOf(ClassDropHeaders, "headers", "a,b"),
				stageOf(ClassHoistValue, "field", name),
				stageOf(ClassInsertHeader, "header", name, "value.literal", "7"),
				stageOf(ClassHeaderFromValue, "fields", name, "headers", name, "operation", "move"),
				stageOf(ClassInsertValue, "static.field", name, "static.value", "x"),
				stageOf(ClassExtractValue, "field", name),
			}[random.IntN(7)])
		}
		call := input{topics: []string{"t"}}
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
				row.Headers = random.addHeaders(&call)
			}
		}
		schemas := []wit.Schema{{ID: 1, Nodes: nodes}}
		// Results may be appended in place, so each run has its own data.
		copyOfCall := func() input { return input{call.topics, call.rows, slices.Clone(call.data)} }
		_, _, want, _ := runChain(t, stages, schemas, copyOfCall(), withoutFastPath)
		engine, chain, got, _ := runChain(t, stages, schemas, copyOfCall(), withFastPath)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("seed %d, %+v: differs (-interpreter +fast path):\n%s", seed, stages, cmp.Diff(want, got))
		}
		engine.start(copyOfCall())
		for i := range call.rows {
			if engine.fastPath.run(chain.routes, i) > i {
				fast++
			} else {
				interpreted++
			}
		}
	}
	assert.True(t, fast >= 4000 && interpreted >= 2000,
		"expected 4,000 rows on the fast path and 2,000 others, found %d and %d", fast, interpreted)
}

// addHeaders adds up to three headers with three names to the data of a call.
func (m maker) addHeaders(call *input) wit.ValueSlice {
	var list []connectdata.Header
	for range m.IntN(4) {
		list = append(list, connectdata.Header{Name: pool[m.IntN(3)], Encoding: wit.Raw, Value: []byte(m.text())})
	}
	start := len(call.data)
	call.data = connectdata.AppendHeaders(call.data, list)
	return wit.ValueSlice{Encoding: wit.Raw, Start: uint32(start), Size: uint32(len(call.data) - start)}
}

// Rows without schema, and rows that lose all headers or no headers, take the fast path from the second row on.
func TestDropHeadersAndHoistFieldAreFast(t *testing.T) {
	insert := stageOf(ClassInsertHeader, "header", "h", "value.literal", "7")
	drop := stageOf(ClassDropHeaders, "headers", "h,i")
	hoist := stageOf(ClassHoistValue, "field", "a")
	for name, test := range map[string]struct {
		stages  []wit.Stage
		headers []string // names of the headers of each row
	}{
		"hoist":             {stages: []wit.Stage{hoist}},
		"two hoists":        {stages: []wit.Stage{hoist, stageOf(ClassHoistValue, "field", "b")}},
		"added and dropped": {stages: []wit.Stage{insert, drop}},
		"nothing dropped":   {stages: []wit.Stage{drop}, headers: []string{"a", "b"}},
		"all dropped":       {stages: []wit.Stage{drop}, headers: []string{"h", "i", "h"}},
		"all replaced":      {stages: []wit.Stage{drop, insert}, headers: []string{"h", "i"}},
	} {
		t.Run(name, func(t *testing.T) {
			call := input{topics: []string{"t"}}
			var list []connectdata.Header
			for _, header := range test.headers {
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
			engine, context := newPrepared(t, test.stages...)
			_, rowErrors := apply(t, engine, context, nil, call)
			chain, err := engine.chain(context)
			require.NoError(t, err)
			engine.start(call)
			if end := engine.fastPath.run(chain.routes, 1); end != len(call.rows) || len(rowErrors) > 0 {
				t.Errorf("expected the rows up to %d, found those up to %d, %v", len(call.rows), end, rowErrors)
			}
		})
	}
}
