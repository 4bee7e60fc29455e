// Package loopback knows the names of the machine that a program runs on.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether a host is this machine: localhost, or an address of the loopback interface. Brackets and ports are
// not part of it.
func Is(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
