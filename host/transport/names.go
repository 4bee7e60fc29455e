package transport

import (
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// settingNames are what the user calls the settings that say where the service is, "" where there is no such setting.
// destination is that of the destination which said it in their place.
type settingNames struct{ scheme, address, port, destination, origins string }

func settingNamesOf(roles Roles) settingNames {
	of := func(name string) string {
		if setting := roles.Setting(name); setting != name { // there is one
			return setting
		}
		return ""
	}
	n := settingNames{scheme: of(role.Scheme), address: of(role.Address), port: of(role.Port)}
	if roles.Text(role.Destination) != "" {
		n.destination = of(role.Destination)
	}
	return n
}

// fault is a fault at a setting; what describes the setting where the configuration has no name for it.
func (n settingNames) fault(setting, what, format string, args ...any) *wit.Error {
	f := faultf(wit.ErrorConfig, format, args...)
	if setting == "" {
		f.Message = what + ": " + f.Message
		return f
	}
	f.Setting = &setting
	return f
}

// isNotTLS says whether a handshake met somebody who does not speak TLS.
func isNotTLS(err error) bool {
	return keystore.ClassOf(err) == keystore.NotTLS
}
