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

// Options say where REST listens, who may use it, and by which names it is called.
type Options struct {
	// Listeners are given as http://HOST:PORT or https://HOST:PORT; no host means all addresses.
	Listeners []string
	// Admin are the listeners of /admin, in the same form. Without SeparateAdmin, /admin is on Listeners.
	Admin         []string
	SeparateAdmin bool
	// TLS are the settings below listeners.https., for listeners of https.
	TLS map[string]string
	// AllowedHosts are names and addresses that requests may name as their Host, besides those of the loopback
	// interface. Without any, Host is checked on loopback listeners alone, and on others a name that is neither this
	// machine's nor of a network of its own sees no passwords and changes nothing while there are no Users.
	AllowedHosts []string
	// AdvertisedHost, AdvertisedPort and AdvertisedListener, which is http or https, are how others reach this worker;
	// "" for what its listeners say.
	AdvertisedHost, AdvertisedPort, AdvertisedListener string
	// Masked has configurations shown without passwords.
	Masked bool
	// Records is how much is shown of records: full (also ""), shape or off.
	Records string
	// Users is a file of those who may use REST, "" for everybody.
	Users string
	// ReadOnly refuses whatever changes something.
	ReadOnly bool
	// Origins and Methods are what pages of other origins may do in a browser. Without origins nothing, without methods
	// GET, POST and HEAD.
	Origins, Methods []string
	// Headers are put to each answer, see [parseHeaders].
	Headers string
	// Console makes the pages below /console/ over the handler of REST itself, see [Pages]; nil: there are none.
	Console func(Pages) http.Handler
	// Cluster is the group of workers that this one belongs to, nil for one that is alone. Session signs and checks
	// what they ask of each other; nil without a Cluster.
	Cluster Cluster
	Session *Session
}

// Advertised is the URL by which others reach a worker (RestServer.advertisedUrl): that of its first listener of the
// advertised scheme, which is http unless all take https. at are the URLs where it listens, none where it does not.
func (o *Options) Advertised(at []string) string {
	first := func(scheme string) int {
		return slices.IndexFunc(at, func(l string) bool { return strings.HasPrefix(l, scheme+"://") })
	}
	scheme := strings.ToLower(o.AdvertisedListener)
	if scheme == "" && len(at) > 0 && first("http") < 0 {
		scheme = "https"
	}
	scheme = cmp.Or(scheme, "http")
	host, port := o.AdvertisedHost, o.AdvertisedPort
	if n := max(first(scheme), 0); n < len(at) {
		_, address, _ := strings.Cut(at[n], "://")
		listens, its, _ := net.SplitHostPort(address)
		if ip := net.ParseIP(listens); host == "" && (ip == nil || !ip.IsUnspecified()) {
			host = listens
		}
		port = cmp.Or(port, its)
	}
	if host == "" {
		host, _ = os.Hostname()
	}
	return scheme + "://" + net.JoinHostPort(host, cmp.Or(port, "8083"))
}

func invalid(name, value, why string) error {
	return setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: setting.Invalid(name, value, why)}
}
