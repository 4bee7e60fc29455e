// Package porttest finds free ports for tests, serves connections ([Serve]), and records the bytes that pass through a
// port ([Tap]). Ports are below the range of automatically assigned ones, and a UDP port of the same number reserves
// each for this process: no other connection can occupy it before, or after, the tested program listens.
package porttest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// Linux assigns ports from 32768, other systems from 49152.
const firstPort, lastPort = 20_000, 31_999

var reserved struct {
	mu    sync.Mutex
	ports []net.PacketConn // UDP ports, never closed, which mark TCP ports as reserved for this process
}

// Address returns a free address of this machine.
func Address(t testing.TB) string {
	t.Helper()
	l := Listen(t)
	defer l.Close()
	return l.Addr().String()
}

// Listen listens on a free address; after Close a test may listen there again.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	reserved.mu.Lock()
	defer reserved.mu.Unlock()
	for range lastPort - firstPort {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		reservation, err := net.ListenPacket("udp", address)
		if err != nil { // reserved by this process or another one
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil { // in use by another program
			reservation.Close()
			continue
		}
		reserved.ports = append(reserved.ports, reservation)
		return l
	}
	t.Fatal("found no port to listen on")
	return nil
}

// Serve serves connections at a free address until the test ends, each in its own goroutine. The end of the test closes
// connections and does not wait for the goroutines.
func Serve(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.Map // the accepted connections
	var acceptLoop sync.WaitGroup
	acceptLoop.Go(func() {
		for {
			conn, err := listener.Accept()
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
		listener.Close()
		acceptLoop.Wait()
		open.Range(func(conn, _ any) bool {
			conn.(net.Conn).Close()
			return true
		})
	})
	return listener.Addr().String()
}
