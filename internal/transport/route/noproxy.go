package route

import (
	"net/netip"
	"net/url"
	"strings"
)

// isExcluded reports whether NO_PROXY contains a URL's loopback host. It is needed because package httpproxy excludes
// all loopback hosts.
func isExcluded(u *url.URL, noProxy string) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip, _ := netip.ParseAddr(host)
	ip = ip.Unmap()
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for entry := range strings.SplitSeq(strings.ToLower(noProxy), ",") {
		entry = strings.TrimSpace(entry)
		if network, err := netip.ParsePrefix(entry); err == nil {
			if network.Contains(ip) {
				return true
			}
			continue
		}
		name := strings.Trim(entry, "[]")
		other, err := netip.ParseAddr(name)
		if hostPort := (&url.URL{Host: entry}); err != nil && hostPort.Port() != "" { // an entry with a port
			if hostPort.Port() != port {
				continue
			}
			name = hostPort.Hostname()
			other, err = netip.ParseAddr(name)
		}
		if entry == "*" || (name == host && name != "") || (err == nil && other.Unmap() == ip) {
			return true
		}
	}
	return false
}
