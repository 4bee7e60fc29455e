package inbound

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A body that could not be read uses no memory while its connection is drained.
func TestFailedBodyUsesNoMemory(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name  string
		body  io.Reader
		limit int64
		err   error
	}{
		{"fits", bytes.NewReader(make([]byte, 3*firstBuffer)), 6 * firstBuffer, nil},
		{"does not fit", bytes.NewReader(make([]byte, 3*firstBuffer)), 6*firstBuffer - 1, ErrFull},
		{"cannot be read", io.MultiReader(bytes.NewReader(make([]byte, 3*firstBuffer)), iotest.ErrReader(broken)),
			6 * firstBuffer, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			var bodies Bodies
			data, release, err := bodies.Read(test.body, test.limit)
			require.ErrorIs(t, err, test.err, "error", test.err)
			if inUse := bodies.InUse(); inUse != int64(cap(data)) || (err != nil) != (inUse == 0) {
				t.Errorf("expected the memory of the body, or none after an error, found %d bytes", inUse)
			}
			release()
			assert.Equal(t, 0, bodies.InUse(), "memory after release: bytes")
		})
	}
}
