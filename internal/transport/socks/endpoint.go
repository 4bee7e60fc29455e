package socks

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// endpoint is the target of a tunnel.
type endpoint struct {
	address string // virtual host:port
	request []byte // the message that requests the tunnel
}

// parseEndpoint parses host:port and encodes the request for a tunnel to it.
func parseEndpoint(network, address string) (endpoint, error) {
	unusable := func(expected, found string) (endpoint, error) {
		return endpoint{}, &Unusable{What: "address through the Connectivity proxy", Expected: expected, Found: found}
	}
	if network != "tcp" && network != "tcp4" {
		return unusable("network tcp", fmt.Sprintf("%q for %s", network, address))
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return unusable("host:port", fmt.Sprintf("%q", address))
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return unusable("a port from 1 to 65535", fmt.Sprintf("%q", address))
	}
	request := []byte{version5, commandConnect, 0x00} // a reserved byte
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.Is4():
		request = append(append(request, addressIPv4), ip.AsSlice()...)
	case err == nil:
		return unusable("a virtual host's name or an IPv4 address",
			fmt.Sprintf("the IPv6 address %q, which the proxy does not support", address))
	case host == "" || len(host) > 255: // the length is sent in one byte
		return unusable("a virtual host's name of 1 to 255 bytes", fmt.Sprintf("%d bytes", len(host)))
	default:
		request = append(append(request, addressName, byte(len(host))), host...)
	}
	return endpoint{address: address, request: binary.BigEndian.AppendUint16(request, uint16(port))}, nil
}

// maxLocation bounds a location id in bytes: the length of its base64 is sent in one byte.
const maxLocation = 189

// Validate returns an error, an *[Unusable], if fields are missing or invalid. It sends nothing.
func (d *Dialer) Validate() error {
	if host, port, err := net.SplitHostPort(d.Address); err != nil || host == "" || port == "" {
		return &Unusable{
			What:     "address of the Connectivity proxy",
			Expected: "host:port",
			Found:    fmt.Sprintf("%q", d.Address),
		}
	}
	if d.Token == nil {
		return &Unusable{What: "token for the Connectivity proxy", Expected: "a function that fetches one",
			Found: "none"}
	}
	for _, location := range d.Locations {
		if len(location) > maxLocation {
			return &Unusable{
				What:     "location id",
				Expected: fmt.Sprintf("at most %d bytes", maxLocation),
				Found:    fmt.Sprintf("%d bytes that begin with %q", len(location), location[:16]),
			}
		}
	}
	return nil
}
