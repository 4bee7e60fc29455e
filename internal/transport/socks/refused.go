package socks

import "fmt"

// Step is a part of an attempt, in order.
type Step string

const (
	StepToken          Step = "token"          // a JWT is fetched
	StepProxy          Step = "proxy"          // TCP to the proxy
	StepGreeting       Step = "greeting"       // the proxy takes method 0x80
	StepAuthentication Step = "authentication" // the proxy takes the JWT
	StepConnect        Step = "connect"        // the Cloud Connector reaches the target
)

// The proxy's answers to CONNECT, under the names that SAP gives them.
const (
	Success            = 0x00
	Failure            = 0x01
	Forbidden          = 0x02
	NetworkUnreachable = 0x03
	HostUnreachable    = 0x04
	ConnectionRefused  = 0x05
	TTLExpired         = 0x06
	CommandUnsupported = 0x07
	AddressUnsupported = 0x08
)

// Refused is an answer of the proxy other than yes.
type Refused struct {
	Proxy    string // host:port
	Target   string // virtual host:port
	Location string // "" where none was given
	Step     Step   // StepGreeting, StepAuthentication or StepConnect
	// Code is the method that was chosen in StepGreeting, the status of StepAuthentication, the REP of StepConnect.
	Code byte
}

// Authentication says whether it is the token that was refused.
func (r *Refused) Authentication() bool {
	return r.Step == StepAuthentication || r.Step == StepConnect && r.Code == ConnectionRefused
}

// Permanent says whether trying again is of no use before somebody has changed a setting here or in the Cloud
// Connector. A refused token is permanent, because a fresh one has been tried by the time a caller sees it.
func (r *Refused) Permanent() bool {
	if r.Step != StepConnect {
		return true
	}
	switch r.Code {
	case Forbidden, ConnectionRefused, CommandUnsupported, AddressUnsupported:
		return true
	}
	return false
}

func (r *Refused) Error() string {
	return fmt.Sprintf("Connectivity proxy %s, %s: %s", r.Proxy, r.Step, r.reason())
}

func (r *Refused) location() string {
	if r.Location == "" {
		return "no location id"
	}
	return fmt.Sprintf("location id %q", r.Location)
}

func (r *Refused) reason() string {
	switch r.Step {
	case StepGreeting:
		return fmt.Sprintf("expected method 80 (JWT) to be taken, found %02x: this is not the SOCKS5 port of a "+
			"Connectivity proxy (onpremise_socks5_proxy_port)", r.Code)
	case StepAuthentication:
		return fmt.Sprintf("the token was refused (status %02x), which must be a valid one of the connectivity "+
			"service's binding, of this subaccount", r.Code)
	}
	var what string
	switch r.Code {
	case Failure:
		what = "general failure, or the backend closed the connection"
	case Forbidden:
		what = "the Cloud Connector (" + r.location() + ") exposes no such virtual host and port: add " + r.Target +
			" under Cloud To On-Premise, Access Control, protocol TCP, or correct the address map"
	case NetworkUnreachable:
		what = "no Cloud Connector is connected to the subaccount under " + r.location()
	case HostUnreachable:
		what = "the Cloud Connector (" + r.location() +
			") cannot open a connection to the system behind the virtual host"
	case ConnectionRefused:
		what = "the token was refused, which must be a valid one of the connectivity service's binding, of this " +
			"subaccount"
	case TTLExpired:
		what = "TTL expired"
	case CommandUnsupported:
		what = "the proxy does not know CONNECT; this is a fault of Culvert or not a Connectivity proxy"
	case AddressUnsupported:
		what = "the proxy takes names and IPv4 addresses alone"
	default:
		what = "an answer that SAP does not list"
	}
	return fmt.Sprintf("%s was refused (REP %02x): %s", r.Target, r.Code, what)
}

// Unusable is something of ours that cannot be sent: an address, a location id, a token.
type Unusable struct{ What, Expected, Found string }

func (u *Unusable) Error() string {
	return fmt.Sprintf("%s: expected %s, found %s", u.What, u.Expected, u.Found)
}

// Permanent is true: it is the same the next time.
func (*Unusable) Permanent() bool { return true }

// Unexpected is an answer that is not SOCKS5 at all.
type Unexpected struct {
	Proxy, Target string
	Step          Step
	Expected      string
	Found         string
}

func (u *Unexpected) Error() string {
	return fmt.Sprintf("Connectivity proxy %s, %s: expected %s, found %s: is this the SOCKS5 port "+
		"(onpremise_socks5_proxy_port)?", u.Proxy, u.Step, u.Expected, u.Found)
}

// Permanent is true: whatever listens there is something else.
func (*Unexpected) Permanent() bool { return true }
