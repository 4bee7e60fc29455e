package setup

import (
	"net"
	"net/url"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/rest"
)

// RESTOptions returns the options of REST that the worker's settings specify.
func RESTOptions(w *config.Worker) rest.Options {
	options := rest.Options{
		Listeners:     w.List("listeners"),
		AllowedHosts:  w.List("rest.allowed.hosts"),
		Admin:         w.List("admin.listeners"),
		SeparateAdmin: w.IsSet("admin.listeners"),
		Users:         w.Text("rest.basic.auth.file"),
		Advertise: rest.Advertise{
			Host:     w.Text("rest.advertised.host.name"),
			Port:     w.Text("rest.advertised.port"),
			Listener: w.Text("rest.advertised.listener"),
		},
		Masked:   w.Boolean("rest.config.masked"),
		ReadOnly: w.Boolean("rest.read.only"),
		Records:  w.Text("console.records"),
		Origins:  w.List("access.control.allow.origin"),
		Methods:  w.List("access.control.allow.methods"),
		Headers:  w.Text("response.http.headers.config"),
		TLS:      map[string]string{},
	}
	for name, value := range w.Prefixed("listeners.https.") {
		if w.IsSet("listeners.https." + name) {
			options.TLS[name] = value
		}
	}
	if len(options.TLS) == 0 { // all or nothing, as in Kafka Connect
		for name, value := range w.All() {
			if rest.IsTLSSetting(name) && value != "" {
				options.TLS[name] = value
			}
		}
	}
	return options
}

// RESTURL returns the URL of the worker's first listener as this machine opens it, "" without listeners.
func RESTURL(w *config.Worker) string {
	for _, l := range w.List("listeners") {
		u, err := url.Parse(l)
		if err != nil || u.Port() == "" {
			continue
		}
		if u.Hostname() == "" {
			u.Host = net.JoinHostPort("localhost", u.Port())
		}
		scheme := "http"
		if u.Scheme == "https" {
			scheme = u.Scheme
		}
		return scheme + "://" + LocalAddress(u.Host)
	}
	return ""
}

// LocalAddress returns an address that a browser on this machine can open.
func LocalAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
