package rest

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Options say where REST listens, who may use it, and by which names it is called.
type Options struct {
	// Listeners are given as http://HOST:PORT or https://HOST:PORT; no host means all addresses.
	Listeners []string
	// Admin are those of /admin, in the same form; with Apart and none it is nowhere, without Apart on Listeners.
	Admin []string
	Apart bool
	// TLS are the settings below listeners.https., for listeners of https.
	TLS map[string]string
	// AllowedHosts are names and addresses that requests may name as their Host, besides those of the loopback
	// interface. Without any, Host is checked on loopback listeners alone, and on others a name that is neither this
	// machine's nor of a network of its own sees no passwords and changes nothing while there are no Users.
	AllowedHosts []string
	// AdvertisedHost is the name by which others reach this worker, "" where it is not known.
	AdvertisedHost string
	// Masked has configurations shown without passwords.
	Masked bool
	// Users is a file of those who may use REST, "" for everybody.
	Users string
	// ReadOnly refuses whatever changes something.
	ReadOnly bool
	// Origins and Methods are what pages of other origins may do in a browser. Without origins nothing, without methods
	// GET, POST and HEAD.
	Origins, Methods []string
	// Headers are put to each answer, see [parseHeaders].
	Headers string
	// Cluster is the group of workers that this one belongs to, nil for one that is alone. Session signs and checks
	// what they ask of each other; nil without a Cluster.
	Cluster Cluster
	Session *Session
}

func invalid(name, value, why string) error {
	return setting.Problem{Setting: name, Code: setting.CodeInvalid, Text: setting.Invalid(name, value, why)}
}
