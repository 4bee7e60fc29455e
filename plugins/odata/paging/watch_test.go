package paging

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// TestAscendingFindsWhatWatchFinds looks at the same rows in the two ways: those with keys that are one whole number go
// by ascending.
func TestAscendingFindsWhatWatchFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	feeds := [2]*Set{}
	for i := range feeds {
		f := &Set{Layout: &decode.RowLayout{Columns: []decode.Column{{Name: "ID", Type: edm.Int64}}, Keys: []int{0}}}
		f.Key = []wit.Node{{Kind: wit.Structure, Members: []wit.Member{{Name: "ID", Node: 1}}}, {Kind: wit.Int64}}
		f.parts, f.whole = f.keyParts(), i == 0
		feeds[i] = f
	}
	inOrder, broken := 0, 0
	for range 3000 {
		pages := [2]*Page{}
		tailed := random.IntN(10) == 0
		for i, f := range feeds {
			pages[i] = &Page{Set: f}
			pages[i].content.reset("")
			pages[i].content.tailed = tailed
			pages[i].order = order{bytes: true, folds: true, watching: true, rows: 1, last: binary.AppendVarint(nil,
				-1000)}
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
				pg.Out.Rows, pg.Out.Data = rows, data
				pg.look(rows)
			}
			if !reflect.DeepEqual(pages[0].order, pages[1].order) || !reflect.DeepEqual(pages[0].content,
				pages[1].content) {
				t.Fatalf("keys up to %d: expected %+v and %+v, found %+v and %+v", v, pages[1].order, pages[1].content,
					pages[0].order, pages[0].content)
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

// TestCompareKeysPartByPart compares keys of a number, a text and a Guid with what comparing their parts says.
func TestCompareKeysPartByPart(t *testing.T) {
	f := &Set{Layout: &decode.RowLayout{Keys: []int{0, 1, 2},
		Columns: []decode.Column{{Name: "ID", Type: edm.Int64}, {Name: "Name", Type: edm.String},
			{Name: "GUID", Type: edm.Guid}}}}
	f.Key = []wit.Node{{Kind: wit.Structure, Members: []wit.Member{{Name: "ID", Node: 1}, {Name: "Name", Node: 2},
		{Name: "GUID", Node: 2}}},
		{Kind: wit.Int64}, {Kind: wit.Text}}
	f.parts = f.keyParts()
	random := rand.New(rand.NewPCG(7, 8))
	letters := []string{"a", "A", "b", "B", "0", "Ä", "ä", "ß", "_"}
	text := func() (s string) {
		for range random.IntN(4) {
			s += letters[random.IntN(len(letters))]
		}
		return s
	}
	type key struct {
		id         int64
		name, guid string
	}
	encoded := func(k key) []byte {
		return datum.AppendText(datum.AppendText(datum.AppendNumber(nil, k.id), k.name), k.guid)
	}
	sign := func(n int) int { return cmp.Compare(n, 0) }
	for range 100_000 {
		a, b := key{random.Int64N(3) - 1, text(), text()}, key{random.Int64N(3) - 1, text(), text()}
		guid := compareFolded([]byte(a.guid), []byte(b.guid))
		folded := cmp.Or(cmp.Compare(a.id, b.id), compareFolded([]byte(a.name), []byte(b.name)), guid)
		plain := cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name), guid)
		gotPlain, gotFolded, known := f.compareKeys(encoded(a), encoded(b))
		if sign(gotPlain) != sign(plain) || sign(gotFolded) != sign(folded) || !known {
			t.Fatalf("%+v and %+v: expected %d and %d, found %d and %d, known %v", a, b, plain, folded, gotPlain,
				gotFolded, known)
		}
	}
	f.Key[2].Optional = true
	if f.parts = f.keyParts(); f.parts != nil {
		t.Error("keys that may be null are not compared")
	}
	if _, _, known := f.compareKeys(encoded(key{}), encoded(key{id: 1})); known {
		t.Error("keys without known parts are compared")
	}
}
