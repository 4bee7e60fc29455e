package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

var _ proxy.ContextDialer = (*Route)(nil)

// Route is a way out. Safe for use by several goroutines; it has none of its own.
type Route struct {
	settings   Settings
	proxyType  string
	address    string // of the proxy
	dialer     proxy.ContextDialer
	tokens     *btp.Tokens
	api        *btp.ConnectivityAPI
	addressMap map[string]string
	http       *HTTPProxy
}

// New checks settings; it connects to nothing. Errors are *[Misconfigured] and name the setting.
func New(s Settings) (*Route, error) {
	if s.Forward == nil {
		s.Forward = socks.Direct()
	}
	if s.Attempt == 0 {
		s.Attempt = 30 * time.Second
	}
	r := &Route{settings: s, proxyType: s.Type}
	if s.Type == ConnectivitySOCKS5 {
		r.proxyType = Connectivity
	}
	if err := r.settings.validate(); err != nil {
		return nil, err
	}
	var err error
	if r.addressMap, err = s.checkAddressMap(); err != nil {
		return nil, err
	}
	switch r.proxyType {
	case Unset, None:
		r.dialer = s.Forward
	case SOCKS5:
		err = r.useSOCKS5()
	case HTTP:
		err = r.useHTTP()
	default:
		err = r.useConnectivity()
	}
	if err != nil {
		return nil, err
	}
	r.http = r.newHTTPProxy()
	return r, nil
}

// Type is that of the settings; [ConnectivitySOCKS5] is called [Connectivity].
func (r *Route) Type() string { return r.proxyType }

// Address is the proxy's host:port, "" where there is none.
func (r *Route) Address() string { return r.address }

// MapAddress is what is dialled for an address.
func (r *Route) MapAddress(address string) string {
	if to, ok := r.addressMap[strings.ToLower(address)]; ok {
		return to
	}
	return address
}

// Token is a token for SAP Connectivity, another one than refused where that is not empty. It is an error for other
// types.
func (r *Route) Token(ctx context.Context, refused string) (string, error) {
	if r.tokens == nil {
		return "", fmt.Errorf("a proxy of type %q needs no token", r.proxyType)
	}
	return r.tokens.Token(ctx, refused)
}

// ConnectivityAPI is the binding that lists the attached Cloud Connectors; nil where there is none.
func (r *Route) ConnectivityAPI() *btp.ConnectivityAPI { return r.api }

// DialContext connects to what the address map says for an address, by way of the proxy. Errors that will not pass have
// a method `Permanent() bool` that returns true; see package socks for those of SAP Connectivity.
func (r *Route) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if r.dialer == nil {
		return nil, r.settings.errorf(NameType, "%s makes no connections, it takes HTTP requests alone: expected %s",
			r.proxyType, ConnectivitySOCKS5)
	}
	timed := ctx
	if r.proxyType != Connectivity { // which bounds its attempts itself, and goes on after them
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, r.settings.Attempt)
		defer cancel()
	}
	to := r.MapAddress(address)
	conn, err := r.dialer.DialContext(timed, network, to)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil && to != address {
		return nil, fmt.Errorf("%s (by the address map %s): %w", address, to, err)
	}
	return conn, err
}

func (r *Route) useSOCKS5() error {
	var auth *proxy.Auth
	if r.settings.User != "" {
		auth = &proxy.Auth{User: r.settings.User, Password: r.settings.Password}
	}
	r.address = r.settings.Address
	d, err := proxy.SOCKS5("tcp", r.address, auth, forwardDialer{r.settings.Forward})
	if err != nil {
		return r.settings.errorf(NameAddress, "%w", err)
	}
	r.dialer = &socksDialer{d.(proxy.ContextDialer), &r.settings}
	return nil
}

// socksDialer is the error of a SOCKS5 proxy that refuses the logon.
type socksDialer struct {
	proxy.ContextDialer
	settings *Settings
}

// LogonRefused is a SOCKS5 proxy that takes no such user and password, or wants some.
type LogonRefused struct {
	Proxy, Reason string
	// Setting is the user's name of the settings that mend it.
	Setting string
}

func (l *LogonRefused) Error() string {
	return fmt.Sprintf("SOCKS5 proxy %s: %s (see %s)", l.Proxy, l.Reason, l.Setting)
}

// Permanent is true: the same user is refused again.
func (*LogonRefused) Permanent() bool { return true }

func (o *socksDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := o.ContextDialer.DialContext(ctx, network, address)
	if op, ok := errors.AsType[*net.OpError](err); ok && strings.HasPrefix(op.Op, "socks") && op.Err != nil {
		// The library tells these by their texts alone.
		for _, reason := range []string{"username/password authentication failed",
			"no acceptable authentication methods"} {
			if op.Err.Error() == reason {
				s := o.settings
				return nil, &LogonRefused{s.Address, reason, s.name(NameUser) + ", " + s.name(NamePassword)}
			}
		}
	}
	return conn, err
}

// forwardDialer has the method that the library asks for and does not use.
type forwardDialer struct{ proxy.ContextDialer }

func (f forwardDialer) Dial(network, address string) (net.Conn, error) {
	return f.DialContext(context.Background(), network, address)
}

func (r *Route) useHTTP() error {
	r.address = r.settings.Address
	r.dialer = &connectDialer{settings: &r.settings}
	return nil
}

// useConnectivity fills in what the settings leave to a binding.
func (r *Route) useConnectivity() error {
	s := &r.settings
	binding, err := s.binding()
	if err != nil {
		return err
	}
	if r.address, err = s.connectivityAddress(r.proxyType, binding); err != nil {
		return err
	}
	credentials, err := s.credentials(binding)
	if err != nil {
		return err
	}
	if binding != nil {
		r.api = binding.API
	}
	if r.tokens, err = btp.NewTokens(credentials, s.tokenOptions()); err != nil {
		wrong := &Misconfigured{text: "token service: " + err.Error(), err: err}
		if failure, ok := errors.AsType[*btp.Failure](err); ok {
			wrong.Setting = failure.Setting
		}
		return wrong
	}
	d := &socks.Dialer{Address: r.address, Token: r.tokens.Token, Locations: s.Locations, Outage: s.outage(),
		Attempt: s.Attempt,
		Forward: s.Forward, Logger: s.Logger, Trace: s.Trace}
	if err := d.Validate(); err != nil {
		return s.errorf(NameLocationID, "%w", err)
	}
	if r.proxyType == Connectivity {
		r.dialer = d
	}
	return nil
}
