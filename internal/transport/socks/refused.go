package socks

import "fmt"

// Step is a step of opening a tunnel.
type Step string

const (
	StepToken          Step = "token"          // fetch a JWT
	StepProxy          Step = "proxy"          // connect to the proxy
	StepGreeting       Step = "greeting"       // agree on method 0x80
	StepAuthentication Step = "authentication" // send the JWT
	StepConnect        Step = "connect"        // connect to the target
)

// Replies to CONNECT, by SAP's names.
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

// Refused is a negative reply of the proxy.
type Refused struct {
	Proxy    string // host:port
	Target   string // virtual host:port
	Location string // empty for the default one
	Step     Step   // StepGreeting, StepAuthentication or StepConnect
	Code     byte   // method, status or REP
}

// Authentication reports whether the token was rejected.
func (r *Refused) Authentication() bool {
	return r.Step == StepAuthentication || (r.Step == StepConnect && r.Code == ConnectionRefused)
}

// Permanent reports whether a setting must change. A rejected token is permanent, since a fresh one was tried.
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

// reason explains the code, and what to correct.
func (r *Refused) reason() string {
	switch r.Step {
	case StepGreeting:
		return fmt.Sprintf("expected method 80 (JWT), found %02x: this is not the SOCKS5 port of a "+
			"Connectivity proxy (onpremise_socks5_proxy_port)", r.Code)
	case StepAuthentication:
		return fmt.Sprintf("the token was rejected (status %02x): it must be issued for the connectivity "+
			"service's binding, in this subaccount", r.Code)
	}
	var text string
	switch r.Code {
	case Failure:
		text = "general failure, or the backend closed the connection"
	case Forbidden:
		text = "the Cloud Connector (" + r.location() + ") does not expose this virtual host and port: add " +
			r.Target + " under Cloud To On-Premise, Access Control, protocol TCP, or correct the address map"
	case NetworkUnreachable:
		text = "no Cloud Connector is connected to the subaccount under " + r.location()
	case HostUnreachable:
		text = "the Cloud Connector (" + r.location() +
			") cannot open a connection to the system behind the virtual host"
	case ConnectionRefused:
		text = "the token was rejected: it must be issued for the connectivity service's binding, in this subaccount"
	case TTLExpired:
		text = "TTL expired"
	case CommandUnsupported:
		text = "the proxy does not support CONNECT: this is not a Connectivity proxy, or a bug in Culvert"
	case AddressUnsupported:
		text = "the proxy supports names and IPv4 addresses only"
	default:
		text = "a reply that SAP does not document"
	}
	return fmt.Sprintf("%s was refused (REP %02x): %s", r.Target, r.Code, text)
}

// Unusable is the error of an address, location id or token that cannot be sent.
type Unusable struct{ What, Expected, Found string }

func (u *Unusable) Error() string {
	return fmt.Sprintf("%s: expected %s, found %s", u.What, u.Expected, u.Found)
}

// Permanent returns true: a setting must change.
func (*Unusable) Permanent() bool { return true }

// Unexpected is the error of a reply that is not SOCKS5.
type Unexpected struct {
	Proxy    string
	Target   string
	Step     Step
	Expected string
	Found    string
}

func (u *Unexpected) Error() string {
	return fmt.Sprintf("Connectivity proxy %s, %s: expected %s, found %s: is this the SOCKS5 port "+
		"(onpremise_socks5_proxy_port)?", u.Proxy, u.Step, u.Expected, u.Found)
}

// Permanent returns true: the address must be corrected.
func (*Unexpected) Permanent() bool { return true }
