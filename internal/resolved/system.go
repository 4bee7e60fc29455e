package resolved

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// OriginChangeSetting returns the setting that decides what happens to a stored offset of another system, "" for none.
func (c *Connector) OriginChangeSetting() string {
	component := c.Class.Component
	i := slices.IndexFunc(component.Settings, func(s wit.ConfigKey) bool { return s.Role() == role.SourceChanged })
	if i < 0 {
		return ""
	}
	return component.Settings[i].Name
}

// System is the system of a connector: an origin, or a BTP destination as destination:NAME, and its SAP client, "" for
// the default.
type System struct {
	Origin string
	client string
}

func (s System) String() string { return s.Origin + ", client " + cmp.Or(s.client, "none") }

// WithFingerprint returns the system with the parts that a fingerprint names: NAME=URL or NAME=destination:NAME, and
// client=CLIENT.
func (s System) WithFingerprint(fingerprint string) System {
	for part := range strings.FieldsSeq(fingerprint) {
		name, value, _ := strings.Cut(part, "=")
		u, err := url.Parse(value)
		switch {
		case name == "client":
			s.client = value
		case strings.HasPrefix(value, destination):
			s.Origin = value
		case err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"):
			s.Origin = originText(u.Scheme, u.Hostname(), u.Port())
		}
	}
	return s
}

const destination = "destination:"

// System returns the system that the connector's settings name; its Origin is "" if they name none.
func (c *Connector) System() System {
	roles := c.Roles()
	s := System{client: roles.Prefix(role.Header)["sap-client"]}
	if roles.Text(role.Address) != "" {
		s.Origin = originText(roles.Text(role.Scheme), roles.Text(role.Address), roles.Text(role.Port))
	} else if name := roles.Text(role.Destination); name != "" {
		s.Origin = destination + name
	}
	return s
}

func originText(scheme, host, port string) string {
	scheme = strings.ToLower(cmp.Or(scheme, "https"))
	port = cmp.Or(port, map[string]string{"http": "80"}[scheme], "443")
	return fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(host), port)
}

// QualifyClaims returns the connector's claims, sorted, with the system and the user within which they are exclusive.
func (c *Connector) QualifyClaims(names []string) []string {
	var claims []string
	scope := fmt.Sprintf("%v, user %s", c.System(), cmp.Or(strings.ToUpper(c.Roles().Text(role.User)), "none"))
	for _, claim := range names {
		claims = append(claims, fmt.Sprintf("%q at %s", claim, scope))
	}
	slices.Sort(claims)
	return slices.Compact(claims)
}

// ClaimConflict returns the error of a connector whose claim another one has.
func ClaimConflict(claim, first, second string) error {
	return &wit.Error{Kind: wit.ErrorConfig,
		Message: fmt.Sprintf("connectors %s and %s both claim %s, which only one connector of an "+
			"installation may have: %s does not start", first, second, claim, second)}
}
