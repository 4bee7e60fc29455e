package transport

import (
	"cmp"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/wit"
)

// settingNames are the user's names of settings, or "". destination is the BTP destination's setting.
type settingNames struct {
	scheme      string
	address     string
	port        string
	destination string
	origins     string
	connections string
}

// errorf returns an error about a setting; description is used if it has no name.
func (n settingNames) errorf(setting, description, format string, args ...any) *wit.Error {
	f := errorf(wit.ErrorConfig, format, args...)
	if setting == "" {
		f.Message = description + ": " + f.Message
		return f
	}
	f.Setting = &setting
	return f
}

func (n settingNames) connectionsAdvice() string {
	return "set " + cmp.Or(n.connections, "the maximum number of connections") + " = 1 to start with one session, " +
		"and give other programs and workers another user"
}

func isNotTLS(err error) bool { return keystore.ClassOf(err) == keystore.NotTLS }
