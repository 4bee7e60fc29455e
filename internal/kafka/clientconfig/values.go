package clientconfig

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// EnabledProtocols returns the lowest and highest of Java's version names; zero for an empty list.
func EnabledProtocols(list string) (lowest, highest uint16, err error) {
	for _, name := range setting.ParseList(list) {
		var version uint16
		switch name {
		case "":
			continue
		case "TLSv1.2":
			version = tls.VersionTLS12
		case "TLSv1.3":
			version = tls.VersionTLS13
		case "TLSv1", "TLSv1.1", "SSLv3", "SSLv2Hello":
			return 0, 0, fmt.Errorf("%s is insecure and disabled in Java, too: expected TLSv1.2 or TLSv1.3", name)
		default:
			return 0, 0, fmt.Errorf("expected TLSv1.2 or TLSv1.3, found %q", name)
		}
		if lowest == 0 || version < lowest {
			lowest = version
		}
		highest = max(highest, version)
	}
	return lowest, highest, nil
}

// CipherSuites returns TLS 1.2 cipher suites by standard name, and the names of insecure ones.
func CipherSuites(list string) (ids []uint16, insecure []string, err error) {
	suites := map[string]*tls.CipherSuite{}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites[suite.Name] = suite
	}
	for _, name := range setting.ParseList(list) {
		suite, ok := suites[name]
		switch {
		case name == "" || name == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV": // no suite
		case !ok:
			var names []string
			for _, s := range tls.CipherSuites() {
				names = append(names, s.Name)
			}
			return nil, nil, fmt.Errorf("cipher suite %s is not built: expected some of %s", name,
				strings.Join(names, ", "))
		case suite.SupportedVersions[0] == tls.VersionTLS13: // cannot be selected
		default:
			ids = append(ids, suite.ID)
			if suite.Insecure {
				insecure = append(insecure, name)
			}
		}
	}
	return ids, insecure, nil
}

// HasTLS13 reports whether a list names a cipher suite of TLS 1.3, which cannot be selected.
func HasTLS13(list string) bool {
	return slices.ContainsFunc(setting.ParseList(list), func(name string) bool {
		return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
			return s.Name == name && s.SupportedVersions[0] == tls.VersionTLS13
		})
	})
}

// checkPEMText returns a check for PEM text with blocks of a kind, or an empty text.
func checkPEMText(kind string) func(value string) error {
	return func(v string) error {
		if v == "" || (strings.Contains(v, "-----BEGIN") && strings.Contains(v, kind)) {
			return nil
		}
		return errors.New("expected PEM text with -----BEGIN " + kind + "-----")
	}
}

const mechanisms = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"

// checkMechanism is case-sensitive, as in Kafka.
func checkMechanism(v string) error {
	names := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
	if !slices.Contains(names, v) {
		return errors.New("String must be one of: " + strings.Join(names, ", "))
	}
	return nil
}

// checkHostNames accepts https, Kafka's default, and an empty value, which disables the check of host names.
func checkHostNames(v string) error {
	if v != "" && !strings.EqualFold(v, "https") {
		return errors.New("expected https, or nothing")
	}
	return nil
}
