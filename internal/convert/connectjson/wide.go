package connectjson

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
)

// fromWide converts a UTF-16 or UTF-32 document to UTF-8. It detects these as Jackson does: by a byte order mark, or by
// the zero bytes of an ASCII character. Other documents are copied.
func fromWide(dst, data []byte) ([]byte, error) {
	size := 1 // bytes of a unit
	order := binary.ByteOrder(binary.BigEndian)
	if len(data) >= 4 {
		first := binary.BigEndian.Uint32(data)
		switch {
		case first == 0xfeff:
			size = 4
			data = data[4:]
		case first == 0xfffe0000:
			size = 4
			order = binary.LittleEndian
			data = data[4:]
		case first>>16 == 0xfeff:
			size = 2
			data = data[2:]
		case first>>16 == 0xfffe:
			size = 2
			order = binary.LittleEndian
			data = data[2:]
		case first>>8 == 0:
			size = 4
		case first&0xffffff == 0:
			size = 4
			order = binary.LittleEndian
		}
	}
	if size == 1 && len(data) >= 2 {
		if data[0] == 0 {
			size = 2
		} else if data[1] == 0 {
			size = 2
			order = binary.LittleEndian
		}
	}
	switch size {
	case 1:
		return append(dst, data...), nil
	case 2:
		evenLen := len(data) &^ 1
		dst = conversion.AppendUTF16(dst, data[:evenLen], order)
		data = data[evenLen:]
	case 4:
		for ; len(data) >= 4; data = data[4:] {
			r := order.Uint32(data)
			if r > utf8.MaxRune || utf16.IsSurrogate(rune(r)) {
				return dst, fault.New(fault.SerializationException,
					fmt.Sprintf("JSON in UTF-32: expected code points, found %#x", r))
			}
			dst = utf8.AppendRune(dst, rune(r))
		}
	}
	if len(data) > 0 {
		return dst, fault.New(fault.SerializationException,
			fmt.Sprintf("JSON in UTF-%d: expected characters of %d bytes, found %d bytes behind the last", 8*size, size,
				len(data)))
	}
	return dst, nil
}
