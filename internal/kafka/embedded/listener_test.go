package embedded

import (
	"net"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The error for ports that are all in use has the reason and what to set.
func TestErrorWithoutFreePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = listenNextFree(port, port, "")
	assert.True(t, err != nil && !strings.Contains(err.Error(), "nil") &&
		strings.Contains(err.Error(), "another program listens there"),
		"expected an error with its reason, found %v", err)
}
