package connectivitytest

import (
	"encoding/json"
	"net"
)

// Shape is a set of flags for the form of bindings.
type Shape uint8

const (
	// TLS uses TLSURL, for clients that trust Roots.
	TLS Shape = 1 << iota
	// X509 has client certificates instead of secrets, and uses TLSURL.
	X509
	// Deprecated uses the old names url and onpremise_proxy_port.
	Deprecated
	// Wrapped is a service key as printed by the cf command line, below "credentials".
	Wrapped
)

// VCAP returns VCAP_SERVICES with bindings of connectivity (plans lite and api_access), destination and XSUAA.
func (s *Server) VCAP(shape Shape) string {
	service := func(label, plan, name string, credentials any) map[string]any {
		return map[string]any{"label": label, "plan": plan, "name": name, "instance_name": name,
			"tags": []string{label}, "credentials": credentials}
	}
	return marshal(map[string]any{
		"connectivity": []any{
			service("connectivity", "lite", "my-connectivity", s.connectivity(shape)),
			service("connectivity", "api_access", "my-connectivity-api", s.api(shape)),
		},
		"destination": []any{service("destination", "lite", "my-destination", s.addTokenService(shape, s.Destination,
			map[string]any{
				"uri": s.base(shape), "xsappname": "clone2!b123|destination-xsappname!b9",
				"instanceid": "culvert-destination",
			}))},
		"xsuaa": []any{service("xsuaa", "application", "my-xsuaa", s.addTokenService(shape|Deprecated, s.XSUAA,
			map[string]any{
				"xsappname": "culvert!t123", "uaadomain": "authentication.example.com",
			}))},
	})
}

// ServiceKey returns a service key of the connectivity service.
func (s *Server) ServiceKey(shape Shape) string {
	if shape&Wrapped != 0 {
		return marshal(map[string]any{"credentials": s.connectivity(shape)})
	}
	return marshal(s.connectivity(shape))
}

// DestinationKey returns a service key of the destination service.
func (s *Server) DestinationKey(shape Shape) string {
	return marshal(s.addTokenService(shape, s.Destination, map[string]any{"uri": s.base(shape)}))
}

func (s *Server) connectivity(shape Shape) map[string]any {
	host, port, _ := net.SplitHostPort(s.SOCKS5)
	_, httpPort, _ := net.SplitHostPort(s.HTTP)
	fields := map[string]any{
		"onpremise_proxy_host":        host,
		"onpremise_socks5_proxy_port": port,
		"onpremise_proxy_rfc_port":    "20001",
		"onpremise_proxy_ldap_port":   "20001",
		"xsappname":                   "clone1!b123|connectivity!b17",
		"tenantmode":                  "dedicated",
		"instance_id":                 "culvert-connectivity",
		"token_service_domain":        "authentication.example.com",
		"token_service_url_pattern":   "https://{tenant}.authentication.example.com/oauth/token",
	}
	if shape&Deprecated != 0 {
		fields["onpremise_proxy_port"] = httpPort
	} else {
		fields["onpremise_proxy_http_port"] = httpPort
	}
	return s.addTokenService(shape, s.Connectivity, fields)
}

func (s *Server) api(shape Shape) map[string]any {
	return s.addTokenService(shape, s.API, map[string]any{
		"xsappname": "api1!b123|connectivity!b17",
		"connectivity_service": map[string]string{"url": s.base(shape), "scc_info_path": infoPath,
			"api_path": "/api/v1", "tunnel_path": "/api/v1/tunnel"},
	})
}

func (s *Server) base(shape Shape) string {
	if shape&(TLS|X509) != 0 {
		return s.TLSURL
	}
	return s.URL
}

// addTokenService adds the fields of the token service.
func (s *Server) addTokenService(shape Shape, c Client, fields map[string]any) map[string]any {
	fields["clientid"] = c.ID
	address := "token_service_url"
	if shape&Deprecated != 0 {
		address = "url"
	}
	fields[address] = s.base(shape)
	if shape&X509 == 0 {
		fields["clientsecret"] = c.Secret
		fields["credential-type"] = "instance-secret"
		return fields
	}
	fields["credential-type"] = "x509"
	fields["certificate-pinning"] = true
	fields["certificate"], fields["key"] = s.Certificate(c)
	fields["certurl"] = s.TLSURL
	return fields
}

func marshal(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("connectivitytest: " + err.Error())
	}
	return string(b)
}
