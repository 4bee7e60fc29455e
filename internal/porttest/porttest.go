// Package porttest finds ports for tests of programs that are told where to listen, serves connections ([Serve]),
// and records the bytes that pass through a port ([Tap]).
//
// Invariants: a port is given to one test of the machine, and systems give it to nobody by themselves. A port of theirs
// may be taken, by any connection of the machine, between the moment in which it was found free and that in which the
// program listens there, or while it is closed and is to be opened again. Tests of other processes are kept away by
// the UDP port of the same number, which is held until the process ends.
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

var reserved struct {
	mu   sync.Mutex
	held []net.PacketConn // UDP ports that say to other processes that a port is given
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
	reserved.mu.Lock()
	defer reserved.mu.Unlock()
	for range lastPort - firstPort {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		held, err := net.ListenPacket("udp", address)
		if err != nil { // given before, by this process or another
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil { // another program has it
			held.Close()
			continue
		}
		reserved.held = append(reserved.held, held)
		return l
	}
	t.Fatal("found no port to listen on")
	return nil
}

// Serve listens on a free port of this machine and returns its address. It calls serve in a goroutine for each
// connection and closes the connection when serve returns. When the test ends it closes the port and all connections,
// and does not wait for serve.
func Serve(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.Map
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		open.Range(func(conn, _ any) bool {
			conn.(net.Conn).Close()
			return true
		})
	})
	return l.Addr().String()
}
