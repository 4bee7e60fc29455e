package transport

import (
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// settingNames are the user's names of the settings that locate the service; "" if there is none. destination is
// the setting of the BTP destination that supplies the values instead.
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

// errorf is about a setting; what describes it if the configuration has no name for it.
func (n settingNames) errorf(setting, what, format string, args ...any) *wit.Error {
	f := errorf(wit.ErrorConfig, format, args...)
	if setting == "" {
		f.Message = what + ": " + f.Message
		return f
	}
	f.Setting = &setting
	return f
}

// isNotTLS reports whether a handshake failed because the server does not use TLS.
func isNotTLS(err error) bool {
	return keystore.ClassOf(err) == keystore.NotTLS
}
