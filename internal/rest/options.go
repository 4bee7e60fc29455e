package rest

import (
	"cmp"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Options configures a [Server].
type Options struct {
	// Listeners have the form http://HOST:PORT or https://HOST:PORT; no host means all addresses.
	Listeners []string
	// Admin are the listeners of /admin. Without SeparateAdmin, /admin is on Listeners.
	Admin         []string
	SeparateAdmin bool
	TLS           map[string]string // the settings below listeners.https
	// AllowedHosts are valid in Host, besides loopback. If empty, only loopback listeners check it, see hosts.go.
	AllowedHosts []string
	Advertise    Advertise
	Masked       bool   // hides passwords in configurations
	Records      string // how much is shown of records: full (also ""), shape or off
	Users        string // file of users who may log on; "" means no logon
	ReadOnly     bool
	// Origins may call Methods from pages in a browser (CORS). No methods mean GET, POST and HEAD.
	Origins []string
	Methods []string
	Headers string // added to each response, see [parseHeaders]
	Console func(Pages) http.Handler
	// Cluster and Session are nil for a worker in no group.
	Cluster Cluster
	Session *Session
}

// Advertise is how other workers reach this one. Empty fields mean the values of its listener.
type Advertise struct {
	Host     string
	Port     string
	Listener string // http or https
}

// Advertised returns the URL for other workers, as RestServer.advertisedUrl: the first listener with the advertised
// scheme, http unless all listeners use https. urls are the URLs of the listeners, if any.
func (o *Options) Advertised(urls []string) string {
	first := func(scheme string) int {
		return slices.IndexFunc(urls, func(l string) bool { return strings.HasPrefix(l, scheme+"://") })
	}
	scheme := strings.ToLower(o.Advertise.Listener)
	if scheme == "" && len(urls) > 0 && first("http") < 0 {
		scheme = "https"
	}
	scheme = cmp.Or(scheme, "http")
	host := o.Advertise.Host
	port := o.Advertise.Port
	if n := max(first(scheme), 0); n < len(urls) {
		_, address, _ := strings.Cut(urls[n], "://")
		listenHost, ownPort, _ := net.SplitHostPort(address)
		if ip := net.ParseIP(listenHost); host == "" && (ip == nil || !ip.IsUnspecified()) {
			host = listenHost
		}
		port = cmp.Or(port, ownPort)
	}
	if host == "" {
		host, _ = os.Hostname()
	}
	return scheme + "://" + net.JoinHostPort(host, cmp.Or(port, "8083")) // the default port of listeners
}

func invalid(name, value, why string) error {
	return setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: setting.Invalid(name, value, why)}
}
