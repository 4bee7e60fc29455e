package components

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

func claimScope(connector *config.Connector, component wit.Component) string {
	roles := connector.Roles(component)
	return fmt.Sprintf("%v, user %s", SystemOf(connector, component),
		cmp.Or(strings.ToUpper(roles.Text(role.User)), "none"))
}

// QualifyClaims adds the system and the user to a connector's claims, for which they are exclusive.
func QualifyClaims(connector *config.Connector, component wit.Component, claims []string) []string {
	var all []string
	at := claimScope(connector, component)
	for _, claim := range claims {
		all = append(all, fmt.Sprintf("%q at %s", claim, at))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ClaimConflict returns the error of a connector whose claim another one has.
func ClaimConflict(claim, first, second string) error {
	return &wit.Error{Kind: wit.ErrorConfig,
		Message: fmt.Sprintf("connectors %s and %s both claim %s, which only one connector of an "+
			"installation may have: %s does not start", first, second, claim, second)}
}
