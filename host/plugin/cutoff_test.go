package plugin

import (
	"encoding/binary"
	"strings"
	"testing"
)

// Sections whose size passes the end of the address space are cut off like others that are too long.
func TestSectionsLargerThanAnyFile(t *testing.T) {
	for _, id := range []byte{0, 1, 11} {
		module := append([]byte("\x00asm\x01\x00\x00\x00"), id)
		module = binary.AppendUvarint(module, 1<<64-11)
		module = append(module, 0, 0, 0, 0)
		if _, err := ReadBinary(module); err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("section %d: %v", id, err)
		}
		joinSegments(module)
	}
}
