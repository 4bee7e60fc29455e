package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/internal/transport/socks"
)

var _ proxy.ContextDialer = (*Route)(nil)

// Route dials, and sends HTTP requests, through the configured proxy. Safe for concurrent use; it has no goroutines.
type Route struct {
	settings   Settings
	proxyType  string
	address    string               // of the proxy
	dialer     proxy.ContextDialer  // nil for ConnectivityHTTP
	tokens     *btp.Tokens          // of SAP Connectivity, else nil
	api        *btp.ConnectivityAPI // see ConnectivityAPI
	addressMap map[string]string    // by advertised address in lower case
	http       *HTTPProxy           // see HTTPProxy
}

// New validates settings and connects to nothing. Errors are *[Misconfigured].
func New(settings Settings) (*Route, error) {
	if settings.Forward == nil {
		settings.Forward = socks.Direct()
	}
	if settings.Attempt == 0 {
		settings.Attempt = 30 * time.Second
	}
	r := &Route{settings: settings, proxyType: settings.Type}
	if settings.Type == ConnectivitySOCKS5 {
		r.proxyType = Connectivity
	}
	if err := r.settings.validate(); err != nil {
		return nil, err
	}
	var err error
	r.addressMap = make(map[string]string, len(settings.AddressMap))
	for advertised, virtual := range settings.AddressMap {
		for _, address := range []string{advertised, virtual} {
			if err := settings.checkAddress(NameAddressMap, address); err != nil {
				return nil, err
			}
		}
		host, _, _ := net.SplitHostPort(virtual)
		if strings.HasPrefix(settings.Type, Connectivity) {
			if ip, err := netip.ParseAddr(host); err == nil && !ip.Is4() { // SAP's proxy does not support IPv6
				return nil, settings.errorf(NameAddressMap, "expected virtual hosts by name or IPv4 address, found %q",
					virtual)
			}
		}
		r.addressMap[strings.ToLower(advertised)] = virtual
	}
	switch r.proxyType {
	case Unset, None:
		r.dialer = settings.Forward
	case SOCKS5:
		err = r.useSOCKS5()
	case HTTP:
		r.address = settings.Address
		r.dialer = &connectDialer{settings: &r.settings}
	default:
		err = r.useConnectivity()
	}
	if err != nil {
		return nil, err
	}
	r.http = r.newHTTPProxy()
	return r, nil
}

// Type returns the proxy type, with the alias [ConnectivitySOCKS5] resolved.
func (r *Route) Type() string { return r.proxyType }

// Address returns the proxy's host:port, "" without a proxy.
func (r *Route) Address() string { return r.address }

// MapAddress applies the address map.
func (r *Route) MapAddress(address string) string {
	if mapped, ok := r.addressMap[strings.ToLower(address)]; ok {
		return mapped
	}
	return address
}

// Token returns a token for SAP Connectivity other than refused. Other types return an error.
func (r *Route) Token(ctx context.Context, refused string) (string, error) {
	if r.tokens == nil {
		return "", fmt.Errorf("a proxy of type %q needs no token", r.proxyType)
	}
	return r.tokens.Token(ctx, refused)
}

// ConnectivityAPI returns the binding that lists connected Cloud Connectors, or nil.
func (r *Route) ConnectivityAPI() *btp.ConnectivityAPI { return r.api }

// DialContext maps the address and connects through the proxy. Permanent errors have a method `Permanent() bool`.
func (r *Route) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if r.dialer == nil {
		return nil, r.settings.errorf(NameType, "%s supports HTTP requests only: expected %s for connections",
			r.proxyType, ConnectivitySOCKS5)
	}
	timedCtx := ctx
	if r.proxyType != Connectivity { // whose dialer bounds each of several attempts itself
		var cancel context.CancelFunc
		timedCtx, cancel = context.WithTimeout(ctx, r.settings.Attempt)
		defer cancel()
	}
	mapped := r.MapAddress(address)
	conn, err := r.dialer.DialContext(timedCtx, network, mapped)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // callers look for it
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil && mapped != address {
		return nil, fmt.Errorf("%s (mapped to %s): %w", address, mapped, err)
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
	r.dialer = &socksDialer{ContextDialer: d.(proxy.ContextDialer), settings: &r.settings}
	return nil
}

// socksDialer converts the errors of a SOCKS5 proxy that refuses the logon.
type socksDialer struct {
	proxy.ContextDialer
	settings *Settings
}

// passwordRefused is the text of the library's error for a wrong user or password.
const passwordRefused = "username/password authentication failed"

// LogonRefused is the error of a SOCKS5 proxy that rejects user and password, or requires them.
type LogonRefused struct {
	Proxy   string
	Reason  string
	Setting string
}

// Rejected reports whether the proxy checked user and password.
func (l *LogonRefused) Rejected() bool { return l.Reason == passwordRefused }

func (l *LogonRefused) Error() string {
	return fmt.Sprintf("SOCKS5 proxy %s: %s (see %s)", l.Proxy, l.Reason, l.Setting)
}

// Permanent returns true: user or password must be corrected.
func (*LogonRefused) Permanent() bool { return true }

func (d *socksDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.ContextDialer.DialContext(ctx, network, address)
	if op, ok := errors.AsType[*net.OpError](err); ok && strings.HasPrefix(op.Op, "socks") && op.Err != nil {
		// The library distinguishes these by their texts only.
		for _, reason := range []string{passwordRefused, "no acceptable authentication methods"} {
			if op.Err.Error() == reason {
				s := d.settings
				setting := s.name(NameUser) + ", " + s.name(NamePassword)
				return nil, &LogonRefused{Proxy: s.Address, Reason: reason, Setting: setting}
			}
		}
	}
	return conn, err
}

// forwardDialer adds the method Dial, which proxy.SOCKS5 requires but does not call.
type forwardDialer struct{ proxy.ContextDialer }

func (f forwardDialer) Dial(network, address string) (net.Conn, error) {
	return f.DialContext(context.Background(), network, address)
}

// useConnectivity sets the route through a proxy of SAP Connectivity.
func (r *Route) useConnectivity() error {
	settings := &r.settings
	binding, err := settings.binding()
	if err != nil {
		return err
	}
	if r.address = settings.Address; r.address == "" {
		address := binding.SOCKS5Address
		if r.proxyType == ConnectivityHTTP {
			address = binding.HTTPAddress
		}
		if r.address, err = address(); err != nil {
			return settings.errorf(NameAddress, "not set, and not in the binding: %w", err)
		}
	}
	// Tokens for the proxy.
	credentials, err := settings.credentials(binding)
	if err != nil {
		return err
	}
	if binding != nil {
		r.api = binding.API
	}
	o := settings.TokenOptions
	o.Name = func(field string) string {
		if short, ok := tokenNames[field]; ok {
			return settings.name(short)
		}
		return field
	}
	if o.Logger == nil {
		o.Logger = settings.Logger
	}
	if r.tokens, err = btp.NewTokens(credentials, o); err != nil {
		misconfigured := &Misconfigured{text: "token service: " + err.Error(), err: err}
		if failure, ok := errors.AsType[*btp.Failure](err); ok {
			misconfigured.Setting = failure.Setting
		}
		return misconfigured
	}
	d := &socks.Dialer{
		Address:   r.address,
		Token:     r.tokens.Token,
		Locations: settings.Locations,
		Outage:    settings.outage(),
		Attempt:   settings.Attempt,
		Forward:   settings.Forward,
		Logger:    settings.Logger,
		Trace:     settings.Trace,
	}
	if err := d.Validate(); err != nil {
		return settings.errorf(NameLocationID, "%w", err)
	}
	if r.proxyType == Connectivity { // the HTTP proxy opens no connections
		r.dialer = d
	}
	return nil
}
