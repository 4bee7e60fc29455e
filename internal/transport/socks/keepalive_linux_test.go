package socks_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// The tunnel is the connection to the proxy itself, and the kernel probes it.
func TestKeepAlive(t *testing.T) {
	system, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer system.Close()
	double := connectivitytest.NewServer()
	defer double.Close()
	double.Map("kafka.virtual:9092", system.Addr().String())
	d := &socks.Dialer{Address: double.SOCKS5, Token: func(context.Context, string) (string, error) {
		return double.Issue(double.Connectivity), nil
	}}
	conn, err := d.DialContext(bounded(t), "tcp", "kafka.virtual:9092")
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	raw.Control(func(fd uintptr) {
		on, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		idle, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		every, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		if on != 1 || idle != 30 || every != 15 {
			t.Errorf("expected probes after 30 s every 15 s, found on=%d, %d s, %d s", on, idle, every)
		}
	})
}
