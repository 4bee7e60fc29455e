package paging

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/paging/rowkey"
	"github.com/culvert-project/culvert/wit"
)

// integerKeys returns keys that are one integer, K.
func integerKeys() *rowkey.Keys {
	return rowkey.New(&edm.StructuredType{Key: []string{"K"}, Properties: []edm.Property{{Name: "K", Filterable: true,
		Sortable: true, Type: edm.Type{Primitive: edm.Int64}}}},
		&decode.RowSchema{Columns: []decode.Column{{Name: "K", Type: edm.Int64}}, Keys: []int{0}},
		[]wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "K", Node: 1}}}, {Kind: wit.Int64}})
}

// TestFastOrderCheckAgreesWithSlow checks the same rows in both ways. Keys that are one integer use the fast one.
func TestFastOrderCheckAgreesWithSlow(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	inOrder := 0
	outOfOrder := 0
	for range 3000 {
		pages := [2]*Page{}
		hasTail := random.IntN(10) == 0
		for i := range pages {
			pages[i] = NewPage()
			position := newPosition(0)
			position.rowsRead = 1
			position.checks.sorted = true
			position.checks.key = "(-1000)"
			if hasTail {
				position.checks.lastHashes = packHashes([]uint64{5})
			}
			pages[i].Begin(&Set{Keys: integerKeys()}, position)
		}
		pages[1].order.hasIntegerKeys = false
		key := int64(-900)
		for range 1 + random.IntN(4) {
			var rows []wit.Row
			var data []byte
			for range 1 + random.IntN(5) {
				switch random.IntN(30) {
				case 0: // the key is repeated
				case 1:
					key -= random.Int64N(200)
				case 2:
					key += random.Int64N(1 << 40)
				default:
					key += 1 + random.Int64N(100)
				}
				start := len(data)
				data = binary.AppendVarint(data, key)
				if random.IntN(100) == 0 {
					data = data[:start] // the row has no key
				}
				rows = append(rows, wit.Row{Key: wit.ValueSlice{Start: uint32(start), Size: uint32(len(data) - start)}})
			}
			for _, pg := range pages {
				pg.observe(rows, data)
				pg.order.hasIntegerKeys = false // so that the orders compare as equal
			}
			if !reflect.DeepEqual(pages[0].order, pages[1].order) || !reflect.DeepEqual(pages[0].digest,
				pages[1].digest) {
				t.Fatalf("keys up to %d: expected %+v and %+v, found %+v and %+v", key, pages[1].order, pages[1].digest,
					pages[0].order, pages[0].digest)
			}
			pages[0].order.hasIntegerKeys = true
		}
		if pages[0].order.isActive {
			inOrder++
		} else {
			outOfOrder++
		}
	}
	if inOrder < 100 || outOfOrder < 100 {
		t.Errorf("%d pages in order, %d not: expected more of both", inOrder, outOfOrder)
	}
}
