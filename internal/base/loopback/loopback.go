// Package loopback recognizes the names of this machine.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether a host (without brackets and port) is localhost or a loopback address.
func Is(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
