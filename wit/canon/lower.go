package canon

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Lowered is a value encoded for a linear memory: a block for each allocation, which the receiver frees separately.
type Lowered struct {
	Blocks []Block // the allocations, the value itself first
	Fixups []Fixup // the pointers between blocks
	free   []byte  // memory for the next blocks, most of which are small
}

// Block is one allocation of a [Lowered]. An empty list is an allocation without bytes.
type Block struct {
	Data  []byte
	Align uint32
}

// Fixup is a pointer: the u32 at offset At of the block In is the address of Block.
type Fixup struct {
	In    int
	At    uint32
	Block int
}

// minChunk is the minimum size of a chunk of memory for blocks, in bytes.
const minChunk = 1 << 10

// alloc returns zeroed memory for a block.
func (l *Lowered) alloc(size int) []byte {
	if size > len(l.free) {
		if size >= minChunk {
			return make([]byte, size)
		}
		l.free = make([]byte, max(minChunk, min(32*len(l.Blocks), 16*minChunk))) // larger chunks for larger values
	}
	b := l.free[:size:size]
	l.free = l.free[size:]
	return b
}

// Place allocates all blocks, copies them to the memory and returns their addresses. It reads no view of the memory
// before the last allocation, because allocations may grow the memory.
func (l *Lowered) Place(mem Memory, alloc func(size, align uint32) (uint32, error)) ([]uint32, error) {
	addresses := make([]uint32, len(l.Blocks))
	for i, b := range l.Blocks {
		ptr, err := alloc(uint32(len(b.Data)), b.Align)
		if err != nil {
			return nil, err
		}
		if len(b.Data) > 0 && ptr%b.Align != 0 {
			return nil, newError("allocation of ", len(b.Data), " bytes: expected a multiple of ", b.Align, ", found ",
				hex(ptr))
		}
		addresses[i] = ptr
	}
	for _, f := range l.Fixups {
		binary.LittleEndian.PutUint32(l.Blocks[f.In].Data[f.At:], addresses[f.Block])
	}
	for i, b := range l.Blocks {
		if len(b.Data) == 0 {
			continue
		}
		view, ok := mem.View(addresses[i], uint32(len(b.Data)))
		if !ok {
			return nil, newError("allocation of ", len(b.Data), " bytes at ", hex(addresses[i]),
				" is not inside the memory")
		}
		copy(view, b.Data)
	}
	return addresses, nil
}

// Lower encodes v. It returns an error for variants without a case or with several. It replaces invalid UTF-8 by
// U+FFFD, because guests do not check strings.
func Lower(v any) (Lowered, error) {
	rv := reflect.ValueOf(v)
	var lowered Lowered
	err := lowered.addRoot(layoutOf(rv.Type()), rv)
	return lowered, err
}

// addRoot encodes a value as the first block.
func (l *Lowered) addRoot(t *typeLayout, value reflect.Value) error {
	l.Blocks = append(l.Blocks, Block{Data: l.alloc(int(t.size)), Align: t.align})
	return l.lowerValue(t, value, 0, 0)
}

// lowerValue encodes a value at an offset of a block.
func (l *Lowered) lowerValue(t *typeLayout, value reflect.Value, block int, offset uint32) error {
	data := l.Blocks[block].Data[offset : offset+t.size]
	switch t.shape {
	case shapeString, shapeList:
		l.Fixups = append(l.Fixups, Fixup{In: block, At: offset, Block: len(l.Blocks)})
		length, err := l.lowerList(t, value)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(data[4:], length)
		return nil
	case shapeRecord:
		for _, p := range t.parts {
			if err := l.lowerValue(p.layout, value.Field(p.index), block, offset+p.offset); err != nil {
				return newError(p.name, ": ", err)
			}
		}
		return nil
	case shapeVariant, shapeOption:
		n, payload, err := t.activeCase(value)
		if err != nil {
			return err
		}
		data[0] = byte(n)
		if c := t.parts[n]; c.layout != nil {
			return l.lowerValue(c.layout, payload, block, offset+t.payload)
		}
		return nil
	}
	bits, err := t.scalarBits(value)
	for i := range data {
		data[i] = byte(bits >> (8 * i))
	}
	return err
}

// activeCase returns the number of the case that is set, and its payload.
func (t *typeLayout) activeCase(value reflect.Value) (int, reflect.Value, error) {
	if t.shape == shapeOption {
		if value.IsNil() {
			return 0, value, nil
		}
		return 1, value.Elem(), nil
	}
	number := -1
	for i, c := range t.parts {
		if value.Field(c.index).IsNil() {
			continue
		}
		if number >= 0 {
			return 0, value, newError(t.rtype, ": two cases are set, ", t.parts[number].name, " and ", c.name)
		}
		number = i
	}
	if number < 0 {
		return 0, value, newError(t.rtype, ": no case is set")
	}
	return number, value.Field(t.parts[number].index).Elem(), nil
}

// scalarBits returns a scalar as a core value.
func (t *typeLayout) scalarBits(value reflect.Value) (uint64, error) {
	switch t.shape {
	case shapeBool:
		if value.Bool() {
			return 1, nil
		}
		return 0, nil
	case shapeSigned:
		if t.size == 4 {
			return uint64(uint32(value.Int())), nil
		}
		return uint64(value.Int()), nil
	case shapeFloat:
		return math.Float64bits(value.Float()), nil
	case shapeEnum:
		if value.Uint() >= uint64(t.cases) {
			return 0, newError(t.rtype, " has no case ", value.Uint())
		}
	}
	return value.Uint(), nil
}

// lowerList encodes a list or string as the next block.
func (l *Lowered) lowerList(t *typeLayout, value reflect.Value) (length uint32, err error) {
	block := len(l.Blocks)
	if t.shape == shapeString {
		s := value.String()
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, "\uFFFD")
		}
		if uint64(len(s)) > math.MaxUint32 {
			return 0, newError("text of ", len(s), " bytes does not fit a 32-bit memory")
		}
		data := l.alloc(len(s))
		copy(data, s)
		l.Blocks = append(l.Blocks, Block{Data: data, Align: 1})
		return uint32(len(s)), nil
	}
	elem := t.parts[0].layout
	if uint64(value.Len())*uint64(elem.size) > math.MaxUint32 {
		return 0, newError("list of ", value.Len(), " elements of ", elem.size, " bytes does not fit a 32-bit memory")
	}
	if elem.shape == shapeUnsigned && elem.size == 1 { // bytes, which are not copied
		l.Blocks = append(l.Blocks, Block{Data: value.Bytes(), Align: 1})
		return uint32(value.Len()), nil
	}
	l.Blocks = append(l.Blocks, Block{Data: l.alloc(value.Len() * int(elem.size)), Align: elem.align})
	if numbers, isUint32s := elem.asUint32s(value); isUint32s {
		for i, n := range numbers {
			binary.LittleEndian.PutUint32(l.Blocks[block].Data[4*i:], n)
		}
		return uint32(value.Len()), nil
	}
	for i := range value.Len() {
		if err := l.lowerValue(elem, value.Index(i), block, uint32(i)*elem.size); err != nil {
			return 0, newError("element ", i, ": ", err)
		}
	}
	return uint32(value.Len()), nil
}

// flatArguments are arguments as core values, with the blocks that they point to.
type flatArguments struct {
	Lowered
	flats     []uint64
	addresses []address // the core values that are addresses of blocks
}

// address is the index of a core value that is the address of a block.
type address struct{ index, block int }

// appendFlat appends the core values of a value. Their number depends only on the type.
func (f *flatArguments) appendFlat(t *typeLayout, value reflect.Value) error {
	switch t.shape {
	case shapeString, shapeList:
		f.addresses = append(f.addresses, address{index: len(f.flats), block: len(f.Blocks)})
		length, err := f.lowerList(t, value)
		f.flats = append(f.flats, 0, uint64(length))
		return err
	case shapeRecord:
		for _, p := range t.parts {
			if err := f.appendFlat(p.layout, value.Field(p.index)); err != nil {
				return newError(p.name, ": ", err)
			}
		}
		return nil
	case shapeVariant, shapeOption:
		n, payload, err := t.activeCase(value)
		if err != nil {
			return err
		}
		end := len(f.flats) + len(t.flat)
		f.flats = append(f.flats, uint64(n))
		if c := t.parts[n]; c.layout != nil {
			if err := f.appendFlat(c.layout, payload); err != nil {
				return err
			}
		}
		for len(f.flats) < end {
			f.flats = append(f.flats, 0)
		}
		return nil
	}
	bits, err := t.scalarBits(value)
	f.flats = append(f.flats, bits)
	return err
}
