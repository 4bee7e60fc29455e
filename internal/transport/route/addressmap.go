package route

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ParseAddressMap reads `advertised:port=virtual:port, ...`: brokers' addresses and the Cloud Connector's. Ports may be
// ranges of equal length: `kafka.corp:9092-9094=kafka.virtual:19092-19094`.
func ParseAddressMap(text string) (map[string]string, error) {
	mapping := map[string]string{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		advertised, virtual, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("expected advertised:port=virtual:port, found %q", entry)
		}
		advertisedPorts, err := parseRange(advertised)
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, entry)
		}
		virtualPorts, err := parseRange(virtual)
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, entry)
		}
		if advertisedPorts.last-advertisedPorts.first != virtualPorts.last-virtualPorts.first {
			return nil, fmt.Errorf("expected the same number of ports on both sides, found %d and %d in %q",
				advertisedPorts.last-advertisedPorts.first+1, virtualPorts.last-virtualPorts.first+1, entry)
		}
		for i := range advertisedPorts.last - advertisedPorts.first + 1 {
			key := strings.ToLower(advertisedPorts.address(i))
			value := virtualPorts.address(i)
			if other, ok := mapping[key]; ok && other != value {
				return nil, fmt.Errorf("expected one address for %s, found %s and %s", key, other, value)
			}
			mapping[key] = value
		}
	}
	return mapping, nil
}

// ports are the addresses of a host from its first to its last port.
type ports struct {
	host  string
	first int
	last  int
}

func (p ports) address(i int) string { return net.JoinHostPort(p.host, strconv.Itoa(p.first+i)) }

func parseRange(text string) (ports, error) {
	host, port, err := net.SplitHostPort(strings.TrimSpace(text))
	if err != nil || host == "" {
		return ports{}, fmt.Errorf("expected host:port, found %q", strings.TrimSpace(text))
	}
	low, high, isRange := strings.Cut(port, "-")
	if !isRange {
		high = low
	}
	first, err := parsePort(low)
	if err != nil {
		return ports{}, err
	}
	last, err := parsePort(high)
	if err != nil {
		return ports{}, err
	}
	if last < first {
		return ports{}, fmt.Errorf("expected a range of ports, found %q", port)
	}
	return ports{host: host, first: int(first), last: int(last)}, nil
}
