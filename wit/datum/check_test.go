package datum

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// Check, which makes no values, refuses what Read refuses, and bytes left over.
func TestCheckIsAsStrictAsRead(t *testing.T) {
	nodes := []wit.Node{
		{Kind: wit.Structure, Members: []wit.Member{{Name: "a", Node: 1}, {Name: "b", Node: 2}, {Name: "c", Node: 3},
			{Name: "d", Node: 5}, {Name: "e", Node: 7}}},
		{Kind: wit.Int8, Optional: true},
		{Kind: wit.Text},
		{Kind: wit.Array, Element: 4}, {Kind: wit.Boolean, Optional: true, DefaultValue: wit.Ptr([]byte{1})},
		{Kind: wit.Mapping, Key: 6, Element: 1}, {Kind: wit.Text, Optional: true},
		{Kind: wit.Structure, Optional: true, Members: []wit.Member{{Name: "f", Node: 8}}},
		{Kind: wit.Int16},
	}
	r := rand.New(rand.NewPCG(1, 1))
	letters := []byte{0, 0, 0, 0, 1, 2, 2, 2, 2, 4, 'a', 0xc3, 0xa4, 0x80, 0x81, 0xff}
	good := 0
	for range 300_000 {
		b := make([]byte, 5+r.IntN(8))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		_, n, err := Read(nodes, 0, b)
		want := err == nil && n == len(b)
		if got := Check(nodes, b) == nil; got != want {
			t.Fatalf("%x: expected %t, found %t: %v, %v", b, want, got, err, Check(nodes, b))
		}
		if want {
			good++
		}
	}
	if good < 100 {
		t.Errorf("only %d values were good", good)
	}
	value := []byte{0, 2, 'a', 0, 0, 0}
	if n := testing.AllocsPerRun(10, func() {
		if err := Check(nodes, value); err != nil {
			t.Error(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// So it does of members of every kind of number, whose short forms it passes over without reading them.
func TestCheckOfNumbersIsAsStrictAsRead(t *testing.T) {
	nodes := []wit.Node{{Kind: wit.Structure}}
	kinds := []wit.Kind{wit.Int8, wit.Int16, wit.Int32, wit.Int64, wit.Float32, wit.Float64, wit.Boolean}
	for i, kind := range append(kinds, kinds...) {
		nodes[0].Members = append(nodes[0].Members, wit.Member{Name: string(rune('a' + i)), Node: uint32(len(nodes))})
		nodes = append(nodes, wit.Node{Kind: kind, Optional: i >= len(kinds)})
	}
	nodes[len(nodes)-1].DefaultValue = wit.Ptr([]byte{1})
	r := rand.New(rand.NewPCG(1, 2))
	number := func() int64 { return int64(r.Uint64()) >> r.IntN(64) }
	good, wrong := 0, 0
	for range 200_000 {
		var b []byte
		for i := range nodes[1:] {
			n := &nodes[i+1]
			if n.Optional {
				null := r.IntN(4) == 0
				if b = AppendBranch(b, n, null); null {
					continue
				}
			}
			switch n.Kind {
			case wit.Float32:
				b = AppendFloat32(b, r.Float32())
			case wit.Float64:
				b = AppendFloat64(b, r.Float64())
			case wit.Boolean:
				b = append(b, byte(r.IntN(2)))
			default: // of its kind, mostly, and with the most digits now and then
				v := number()
				if shift := 64 - 8<<n.Kind; r.IntN(20) > 0 {
					v = v << shift >> shift
				}
				b = AppendNumber(b, v)
			}
		}
		switch r.IntN(4) {
		case 0:
			b[r.IntN(len(b))] = byte(r.Uint32())
		case 1:
			b = b[:r.IntN(len(b))]
		}
		_, n, err := Read(nodes, 0, b)
		want := err == nil && n == len(b)
		if got := Check(nodes, b) == nil; got != want {
			t.Fatalf("%x: expected %t, found %t: %v, %v", b, want, got, err, Check(nodes, b))
		}
		if want {
			good++
		} else {
			wrong++
		}
	}
	if good < 10_000 || wrong < 10_000 {
		t.Errorf("%d values were good and %d were not", good, wrong)
	}
}

// Texts of every length are UTF-8 where utf8.Valid says so, wherever in them a byte is that is not ASCII.
func TestValidText(t *testing.T) {
	parts := [][]byte{{0x80}, {0xc3}, {0xc3, 0xa4}, {0xe2, 0x82, 0xac}, {0xe2, 0x82}, {0xf0, 0x9f, 0x98, 0x80},
		{0xed, 0xa0, 0x80}, {0xff}, {0x7f}, {0}}
	seen := map[bool]int{}
	for size := range 100 {
		plain := slices.Repeat([]byte{'x'}, size)
		for at := range size + 1 {
			for _, part := range parts {
				text := slices.Insert(slices.Clone(plain), at, part...)
				want := utf8.Valid(text)
				if got := validText(text); got != want {
					t.Fatalf("%x: expected %t, found %t", text, want, got)
				}
				seen[want]++
			}
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("only one outcome: %v", seen)
	}
}
