package route

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
)

var proxyTypes = []string{None, SOCKS5, HTTP, Connectivity, ConnectivitySOCKS5, ConnectivityHTTP}

// validate checks that the type's settings are present and others are not.
func (s *Settings) validate() error {
	allow := s.Allow
	if allow == nil {
		allow = proxyTypes
	}
	if s.Type != Unset && !slices.Contains(allow, s.Type) {
		return s.errorf(NameType, "expected %s, found %q", strings.Join(allow, ", "), s.Type)
	}
	switch s.Type {
	case Unset:
		return s.rejectSet("which has no effect without "+s.name(NameType),
			slices.Concat(connectivitySettings, ordinarySettings)...)
	case None:
		return nil // other settings may stay: one line disables a proxy
	case SOCKS5, HTTP:
		if err := s.rejectSet("which type "+s.Type+" does not use", connectivitySettings...); err != nil {
			return err
		}
		if s.Address == "" {
			return s.errorf(NameAddress, "expected the proxy's host:port for type %s, found nothing", s.Type)
		}
		if err := s.checkAddress(NameAddress, s.Address); err != nil {
			return err
		}
		if s.User == "" && s.Password != "" {
			return s.errorf(NameUser, "expected a user for the password, found nothing")
		}
		if s.Type == SOCKS5 && (len(s.User) > 255 || len(s.Password) > 255 || (s.User != "" && s.Password == "")) {
			return s.errorf(NamePassword, "expected user and password of 1 to 255 bytes, the limits of SOCKS5")
		}
		if s.Type == HTTP && strings.Contains(s.User, ":") {
			return s.errorf(NameUser, "expected a user without ':', which Basic authentication does not allow")
		}
		return nil
	}
	if err := s.rejectSet("which type "+s.Type+" does not use", loginSettings...); err != nil {
		return err
	}
	if s.Address != "" {
		return s.checkAddress(NameAddress, s.Address)
	}
	return nil
}

// Groups of settings, in the order of messages.
var (
	tokenSettings = []string{NameTokenURL, NameTokenClientID, NameTokenSecret, NameTokenCertificate, NameTokenKey}

	connectivitySettings = append(slices.Clip(tokenSettings), NameServiceKey, NameLocationID)
	loginSettings        = []string{NameUser, NamePassword}
	ordinarySettings     = append([]string{NameAddress}, loginSettings...)
)

// rejectSet rejects settings that would be ignored, for a reason.
func (s *Settings) rejectSet(reason string, names ...string) error {
	name := s.firstSet(names)
	if name == "" {
		return nil
	}
	return s.errorf(name, "found a value, %s", reason)
}

// firstSet returns the first of these settings that has a value, or "".
func (s *Settings) firstSet(names []string) string {
	values := map[string]string{
		NameAddress:          s.Address,
		NameUser:             s.User,
		NamePassword:         s.Password,
		NameTokenURL:         s.Token.TokenURL,
		NameTokenClientID:    s.Token.ClientID,
		NameTokenSecret:      s.Token.Secret,
		NameTokenCertificate: s.Token.Certificate + s.TokenCertificateFile,
		NameTokenKey:         s.Token.Key + s.TokenKeyFile,
		NameServiceKey:       s.ServiceKey,
		NameLocationID:       strings.Join(s.Locations, ""),
	}
	for _, name := range names {
		if values[name] != "" {
			return name
		}
	}
	return ""
}

// checkAddress checks a host:port. short is the setting that contains it.
func (s *Settings) checkAddress(short, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = parsePort(port)
	}
	if err != nil || host == "" || strings.ContainsAny(host, "/@ ") {
		quoted := strconv.Quote(address)
		if end := strings.LastIndexByte(address, '@'); end >= 0 {
			quoted = fmt.Sprintf("\"...@%s\" (user and password have settings of their own)", address[end+1:])
		}
		return s.errorf(short, "expected host:port, found %s", quoted)
	}
	return nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("expected a port from 1 to 65535, found %q", text)
	}
	return uint16(port), nil
}

func (s *Settings) outage() time.Duration {
	switch {
	case s.Outage == 0:
		return DefaultOutage
	case s.Outage < 0:
		return 0
	}
	return s.Outage
}

// binding returns the connectivity binding of the service key or VCAP_SERVICES; nil if the settings replace all of it.
func (s *Settings) binding() (*btp.Connectivity, error) {
	tokenSetting := s.firstSet(tokenSettings)
	if s.ServiceKey != "" {
		if tokenSetting != "" {
			return nil, s.errorf(NameServiceKey, "expected either this or %s, found both", s.name(tokenSetting))
		}
		services, err := btp.ReadServiceKey(s.ServiceKey)
		if err != nil {
			return nil, s.errorf(NameServiceKey, "%w", err)
		}
		return s.requireConnectivity(services, s.name(NameServiceKey)+" "+s.ServiceKey)
	}
	if tokenSetting != "" && s.Address != "" {
		return nil, nil
	}
	if s.VCAPErr != nil {
		return nil, s.errorf(NameType, "%s without %s: %w", s.Type, s.name(NameTokenURL), s.VCAPErr)
	}
	if s.VCAP == "" {
		if tokenSetting != "" {
			return nil, s.errorf(NameAddress,
				"expected the Connectivity proxy's host:port, found nothing, and there is no VCAP_SERVICES")
		}
		return nil, s.errorf(NameTokenURL, "expected a token service, %s, or VCAP_SERVICES with a binding of the "+
			"connectivity service, for type %s; found none", s.name(NameServiceKey), s.Type)
	}
	services, err := btp.ParseVCAP(s.VCAP)
	if err != nil {
		return nil, s.errorf(NameType, "%s without %s: %w", s.Type, s.name(NameTokenURL), err)
	}
	return s.requireConnectivity(services, "VCAP_SERVICES")
}

func (s *Settings) requireConnectivity(services btp.Services, source string) (*btp.Connectivity, error) {
	if s.Logger != nil {
		for _, warning := range services.Warnings {
			s.Logger.Warn(warning)
		}
	}
	if services.Connectivity == nil {
		return nil, s.errorf(NameType, "%s needs a binding of the connectivity service; %s has none", s.Type, source)
	}
	return services.Connectivity, nil
}

// credentials returns the credentials of the token service: of the settings, or else of the binding.
func (s *Settings) credentials(binding *btp.Connectivity) (btp.Credentials, error) {
	if s.firstSet(tokenSettings) == "" {
		return binding.Credentials, nil
	}
	c := s.Token
	for _, f := range []struct {
		short string
		file  string
		text  *string
	}{
		{short: NameTokenCertificate, file: s.TokenCertificateFile, text: &c.Certificate},
		{short: NameTokenKey, file: s.TokenKeyFile, text: &c.Key},
	} {
		if f.file == "" {
			continue
		}
		pem, err := keystore.ReadFile(f.file)
		if err != nil {
			return c, s.errorf(f.short, "%w", err)
		}
		*f.text = string(pem)
	}
	return c, nil
}

// tokenNames maps the token client's names of fields to short names of settings.
var tokenNames = map[string]string{
	"token-url":     NameTokenURL,
	"client-id":     NameTokenClientID,
	"client-secret": NameTokenSecret,
	"certificate":   NameTokenCertificate,
	"key":           NameTokenKey,
}
