package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/host/meter"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
)

// looks is a context that is canceled when it is looked at for the last of so many times.
type looks struct {
	context.Context
	left, count int
}

func (l *looks) Err() error {
	if l.count++; l.count > l.left {
		return context.Canceled
	}
	return nil
}

// Rewriting looks at its context at least every 128 KiB that it reads or writes, whatever the module consists of, and
// ends with it.
func TestRewriteEnds(t *testing.T) {
	const size = 2 << 20
	section := func(id byte, count int, items []byte) []byte {
		content := append(leb(count), items...)
		return append(append(append([]byte("\x00asm\x01\x00\x00\x00"), id), leb(len(content))...), content...)
	}
	functions := guesttest.Module{MemoryPages: -1}
	for n := range 100 {
		functions.Exports = append(functions.Exports, guesttest.Function{Name: fmt.Sprint("f", n),
			Body: bytes.Repeat([]byte{0x01}, size/100)})
	}
	entries := append(leb(2000), bytes.Repeat(append(append([]byte{0}, leb(1000)...), make([]byte, 1000)...), 2000)...)
	names := append(append([]byte("\x04name\x01"), leb(len(entries))...), entries...)
	for name, module := range map[string][]byte{
		"names":   append(append([]byte("\x00asm\x01\x00\x00\x00\x00"), leb(len(names))...), names...),
		"bodies":  functions.Bytes(),
		"exports": section(7, 2000, bytes.Repeat(append(append(leb(1000), make([]byte, 1000)...), 2, 0), 2000)),
		"imports": section(2, 2000, bytes.Repeat(append(append(leb(1000), make([]byte, 1000)...), 0, 3, 0x7f, 0),
			2000)),
		"constants": section(6, 1, append(append([]byte{0x7f, 0}, bytes.Repeat([]byte{0x41, 0}, size/2)...), 0x0b)),
		"elements": section(9, 1, append(append([]byte{0x05, 0x70}, leb(size/3)...), bytes.Repeat([]byte{0xd0, 0x70,
			0x0b}, size/3)...)),
		"segments": section(11, 2000, bytes.Repeat(append(append([]byte{1}, leb(1000)...), make([]byte, 1000)...),
			2000)),
	} {
		t.Run(name, func(t *testing.T) {
			whole := &looks{Context: context.Background(), left: 1 << 30}
			if _, _, err := meter.Rewrite(whole, module, meter.Options{}); err != nil {
				t.Fatal(err)
			}
			if least := len(module) / (128 << 10); whole.count < least {
				t.Errorf("expected at least %d looks at the context within %d bytes, found %d", least, len(module),
					whole.count)
			}
			for _, left := range []int{0, whole.count / 2, whole.count - 1} {
				ctx := &looks{Context: context.Background(), left: left}
				out, _, err := meter.Rewrite(ctx, module, meter.Options{})
				// the last one is for the cause
				if !errors.Is(err, context.Canceled) || out != nil || ctx.count != left+2 {
					t.Errorf("expected an end at look %d, found %v at %d", left+1, err, ctx.count)
				}
			}
		})
	}
}
