package porttest_test

import (
	"net"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
)

// No two addresses are the same, and each can be listened on.
func TestAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := porttest.Address(t)
		if seen[address] {
			t.Errorf("%s was given twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}
