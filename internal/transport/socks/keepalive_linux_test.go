package socks_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

// The tunnel is the connection to the proxy itself, and the kernel probes it.
func TestKeepAlive(t *testing.T) {
	system, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer system.Close()
	subaccount := connectivitytest.NewServer()
	defer subaccount.Close()
	subaccount.Map("kafka.virtual:9092", system.Addr().String())
	d := &socks.Dialer{Address: subaccount.SOCKS5, Token: func(context.Context, string) (string, error) {
		return subaccount.Issue(subaccount.Connectivity), nil
	}}
	conn, err := d.DialContext(boundedContext(t), "tcp", "kafka.virtual:9092")
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	raw.Control(func(fd uintptr) {
		isOn, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		idle, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		interval, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		assert.True(t, isOn == 1 && idle == 30 && interval == 15,
			"expected probes after 30 s every 15 s, found on=%d, %d s, %d s", isOn, idle, interval)
	})
}
