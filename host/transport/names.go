package transport

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/transport/route"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// names are what the user calls the settings that say where the service is, "" where there is no such setting.
// destination is that of the destination which said it in their place.
type names struct{ scheme, address, port, destination, origins string }

func namesOf(roles Roles) names {
	of := func(name string) string {
		if setting := roles.Setting(name); setting != name { // there is one
			return setting
		}
		return ""
	}
	n := names{scheme: of(role.Scheme), address: of(role.Address), port: of(role.Port)}
	if roles.Text(role.Destination) != "" {
		n.destination = of(role.Destination)
	}
	return n
}

// fault is a fault at a setting; what describes the setting where the configuration has no name for it.
func (n names) fault(setting, what, format string, args ...any) *wit.Fault {
	f := faultf(wit.FaultConfig, format, args...)
	if setting == "" {
		f.Message = what + ": " + f.Message
		return f
	}
	f.Setting = &setting
	return f
}

// see names, in brackets, the settings to look at where nothing, or no TLS, was found in the service's place; "" where
// it is not they that are to blame: what came behind a proxy is the proxy's word.
func (d *destination) see(err error) string {
	n := d.config.names
	settings, text := []string{n.address, n.port}, "see "
	dialled, _ := errors.AsType[*net.OpError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case d.config.Route.through != nil && !slices.Contains([]string{route.Unset, route.None},
		d.config.Route.through.Type()):
		return ""
	case strayed(err):
		settings, text = []string{n.scheme, n.port}, "no TLS is spoken on this port: see "
	case unknown:
		settings = []string{n.address}
	case dialled == nil || dialled.Op != "dial":
		return ""
	}
	if n.destination != "" {
		settings = []string{n.destination}
	}
	settings = slices.DeleteFunc(settings, func(name string) bool { return name == "" })
	if len(settings) == 0 {
		return ""
	}
	return " (" + text + strings.Join(settings, ", ") + ")"
}

// strayed says whether a handshake met somebody who does not speak TLS.
func strayed(err error) bool {
	return keystore.ClassOf(err) == keystore.NotTLS
}
