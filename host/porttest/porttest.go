// Package porttest finds ports for tests of programs that are told where to listen.
//
// Invariants: a port is given to one test of a process, and systems give it to nobody by themselves. A port of theirs
// may be taken, by any connection of the machine, between the moment in which it was found free and that in which the
// program listens there, or while it is closed and is to be opened again.
package porttest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Linux gives ports from 32768 on to those who name none, others from 49152 on.
const firstPort, lastPort = 20_000, 31_999

var given struct {
	mu    sync.Mutex
	ports map[int]bool
}

// Address returns an address of this machine that nobody listens on.
func Address(t testing.TB) string {
	t.Helper()
	l := Listen(t)
	defer l.Close()
	return l.Addr().String()
}

// Listen listens on such an address. Who closes the listener may open another one there.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	given.mu.Lock()
	defer given.mu.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for range lastPort - firstPort {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil { // another process has it
			continue
		}
		given.ports[port] = true
		return l
	}
	t.Fatal("found no port to listen on")
	return nil
}
