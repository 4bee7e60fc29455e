package main

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/wit"
)

// TestAscendingFindsWhatWatchFinds looks at the same rows in the two ways: those with keys that are one whole number go by ascending.
func TestAscendingFindsWhatWatchFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	feeds := [2]*feed{}
	for i := range feeds {
		f := &feed{layout: &decode.Layout{Columns: []decode.Column{{Name: "ID", Type: decode.EdmInt64}}, Keys: []int{0}}}
		f.key = wit.Schema{Nodes: []wit.Node{{Kind: wit.Structure, Members: []wit.Member{{Name: "ID", Node: 1}}}, {Kind: wit.Int64}}}
		feeds[i] = f
	}
	if feeds[0].whole = feeds[0].wholeKey(); !feeds[0].whole {
		t.Fatal("the key is one whole number")
	}
	inOrder, broken := 0, 0
	for range 3000 {
		pages := [2]*page{}
		tailed := random.IntN(10) == 0
		for i, f := range feeds {
			pages[i] = &page{feed: f}
			pages[i].content.reset("")
			pages[i].content.tailed = tailed
			pages[i].order = order{bytes: true, folds: true, watching: true, rows: 1, last: binary.AppendVarint(nil, -1000)}
		}
		v := int64(-900)
		for range 1 + random.IntN(4) {
			var rows []wit.Row
			var data []byte
			for range 1 + random.IntN(5) {
				switch random.IntN(30) {
				case 0: // again
				case 1:
					v -= random.Int64N(200)
				case 2:
					v += random.Int64N(1 << 40)
				default:
					v += 1 + random.Int64N(100)
				}
				start := len(data)
				if data = binary.AppendVarint(data, v); random.IntN(100) == 0 {
					data = data[:start] // no key
				}
				rows = append(rows, wit.Row{Key: wit.Datum{Start: uint32(start), Size: uint32(len(data) - start)}})
			}
			for _, pg := range pages {
				pg.out.Rows, pg.out.Data = rows, data
				pg.look(rows)
			}
			if !reflect.DeepEqual(pages[0].order, pages[1].order) || !reflect.DeepEqual(pages[0].content, pages[1].content) {
				t.Fatalf("keys up to %d: expected %+v and %+v, found %+v and %+v", v, pages[1].order, pages[1].content, pages[0].order, pages[0].content)
			}
		}
		if pages[0].order.watching {
			inOrder++
		} else {
			broken++
		}
	}
	if inOrder < 100 || broken < 100 {
		t.Errorf("%d pages in order, %d not: expected more of both", inOrder, broken)
	}
}
