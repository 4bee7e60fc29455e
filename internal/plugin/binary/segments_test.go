package binary

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/base/wasm"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
)

// readSegments lists the data segments of a module; ok is false if they cannot be read.
func readSegments(module []byte) (list []segment, ok bool) {
	err := wasm.Try(func() {
		for section := range wasm.Sections(module) {
			if section.ID != wasm.Data {
				continue
			}
			reader := section.Content(module)
			ok = true
			for range reader.Count() {
				s, isActive := readSegment(&reader)
				list = append(list, s)
				ok = ok && isActive
			}
			ok = ok && reader.At == reader.End
		}
	})
	return list, ok && err == nil
}

// memoryOf returns the memory that segments initialize.
func memoryOf(list []segment) []byte {
	var content []byte
	for _, s := range list {
		if end := int(s.at) + len(s.data); end > len(content) {
			content = append(content, make([]byte, end-len(content))...)
		}
		copy(content[s.at:], s.data)
	}
	return content
}

func TestJoinedSegmentsMakeTheSameMemory(t *testing.T) {
	original := guesttest.Bytes(t, "../testdata/guests/rogue")
	joined := joinSegments(original)
	originalSegments, ok := readSegments(original)
	require.True(t, ok && len(originalSegments) >= 1000,
		"%d segments: expected a Go guest to have thousands", len(originalSegments))
	joinedSegments, ok := readSegments(joined)
	assert.True(t, ok && len(joinedSegments) <= len(originalSegments)/20,
		"expected at most a twentieth of the %d segments, found %d", len(originalSegments), len(joinedSegments))
	assert.True(t, bytes.Equal(memoryOf(originalSegments), memoryOf(joinedSegments)),
		"expected the same memory with joined segments")
	assert.True(t, bytes.Equal(joinSegments(joined), joined), "joining a second time changes the module")
}

func TestUnusualModulesAreNotChanged(t *testing.T) {
	section := func(id byte, content ...byte) []byte {
		return append([]byte{id, byte(len(content))}, content...)
	}
	for name, module := range map[string][]byte{
		"no data":                section(3, 0),
		"a count":                append(section(12, 1), section(11, 1, 0, 0x41, 0, 0x0b, 1, 'a')...),
		"passive":                section(11, 2, 0, 0x41, 0, 0x0b, 1, 'a', 1, 1, 'b'),
		"overlapping":            section(11, 2, 0, 0x41, 0, 0x0b, 2, 'a', 'b', 0, 0x41, 1, 0x0b, 1, 'c'),
		"overlapping, backwards": section(11, 2, 0, 0x41, 1, 0x0b, 1, 'c', 0, 0x41, 0, 0x0b, 2, 'a', 'b'),
		"far apart":              section(11, 2, 0, 0x41, 0, 0x0b, 1, 'a', 0, 0x41, 0x80, 3, 0x0b, 1, 'c'),
		"by a global":            section(11, 1, 0, 0x23, 0, 0x0b, 1, 'a'),
		"no segments":            section(11, 0),
		"cut off":                section(11, 2, 0, 0x41, 0, 0x0b, 1, 'a'),
		"left over":              section(11, 1, 0, 0x41, 0, 0x0b, 1, 'a', 7),
		"size too big":           {11, 99, 1},
		"beyond 32 bits": section(11, 2, 0, 0x41,
			0x80, 0x80, 0x80, 0x80, 0x10, 0x0b, 1, 'a', 0, 0x41, 1, 0x0b, 1, 'b'),
	} {
		module = append([]byte("\x00asm\x01\x00\x00\x00"), module...)
		got := joinSegments(module)
		assert.True(t, bytes.Equal(got, module), "%s: expected the module %x, found %x", name, module, got)
	}
}

func TestSignedNumbers(t *testing.T) {
	for _, n := range []int32{0, 1, 63, 64, -1, -64, -65, 8191, 8192, math.MaxInt32, math.MinInt32} {
		b := wasm.AppendSigned(nil, int64(n))
		reader := wasm.NewReader(b)
		got := reader.Signed(32)
		assert.True(t, got == int64(n) && reader.At == len(b), "%d: %x reads as %d", n, b, got)
	}
}

// FuzzJoinSegments checks that the engine finds the same memory, or rejects both modules.
func FuzzJoinSegments(f *testing.F) {
	m := guesttest.Module{MemoryPages: 1, Data: []byte("data"), DataAt: 9}
	f.Add([]byte{0, 0, 4, 'a', 'b', 'c', 'd', 0, 9, 2, 'x', 'y', 1, 0, 1, 'z'})
	f.Fuzz(func(t *testing.T, plan []byte) {
		var content []byte
		segments := 0
		for len(plan) > 3 {
			offset := int32(binary.BigEndian.Uint16(plan))
			size := min(int(plan[2]), len(plan)-3)
			content = append(wasm.AppendSigned(append(content, 0, 0x41), int64(offset)), 0x0b, byte(size)&0x7f)
			content = append(content, plan[3:3+size&0x7f]...)
			plan = plan[3+size&0x7f:]
			segments++
		}
		content = append(binary.AppendUvarint(nil, uint64(segments)), content...)
		module := append(m.Bytes()[:len(m.Bytes())-len(dataSection(m.Bytes()))], 11)
		module = append(binary.AppendUvarint(module, uint64(len(content))), content...)
		plain, errPlain := memoryAfterStart(t, module)
		joined, errJoined := memoryAfterStart(t, joinSegments(module))
		assert.True(t, (errPlain == nil) == (errJoined == nil) && bytes.Equal(plain, joined),
			"%x: %v, %v", module, errPlain, errJoined)
	})
}

// dataSection returns the last section of a module of guesttest.
func dataSection(module []byte) []byte {
	for section := range wasm.Sections(module) {
		if section.ID == wasm.Data {
			return module[section.At:]
		}
	}
	return nil
}

// memoryAfterStart returns a module's memory after its start.
func memoryAfterStart(t *testing.T, module []byte) ([]byte, error) {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	m, err := r.Instantiate(t.Context(), module)
	if err != nil {
		return nil, err
	}
	content, _ := m.ExportedMemory("memory").Read(0, m.ExportedMemory("memory").Size())
	return bytes.Clone(content), nil
}
