package btp

// Services is what an application is bound to, as far as this package knows it. Services that are not bound are nil.
type Services struct {
	Connectivity *Connectivity
	Destination  *Destination
	XSUAA        *Credentials
	// Warnings are for the log: which of several bindings was taken, and why.
	Warnings []string
}

// Connectivity is a binding of the connectivity service.
type Connectivity struct {
	Credentials
	// ProxyHost and the ports are those of the Connectivity proxy, SOCKS5 and HTTP.
	ProxyHost            string
	SOCKS5Port, HTTPPort string
	// Info is the binding that lists the attached Cloud Connectors, nil if there is none.
	Info *Info
}

// Info is the connectivity service's own interface. Only instances of plan api_access have it.
type Info struct {
	Credentials
	ServiceURL, InfoPath string
}

// Destination is a binding of the destination service.
type Destination struct {
	Credentials
	// URI is the service's address.
	URI string
	// Subaccount is for messages, "" if the binding does not say.
	Subaccount string
}

// Bound reads VCAP_SERVICES.
func Bound(vcap string) (Services, error) { return Services{}, nil }

// ReadKey reads a service key file.
func ReadKey(path string) (Services, error) { return Services{}, nil }

// SOCKS5Address is host:port of the proxy for TCP. The error names the missing fields.
func (c *Connectivity) SOCKS5Address() (string, error) { return "", nil }

// HTTPAddress is host:port of the proxy for HTTP. The error names the missing fields.
func (c *Connectivity) HTTPAddress() (string, error) { return "", nil }
