package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Claims are what only one connector of an installation may have, as plugins name them when they plan: each holds at an
// origin, for an SAP client and a user. Checks find two that have one; package connect keeps account of what those have
// that run.

// holder is where claims of a connector hold, as its settings say.
func holder(c *config.Connector, component wit.Component) string {
	roles := config.NewRoles(config.DeclareComponent(component), c)
	scheme := strings.ToLower(cmp.Or(roles.Text(role.Scheme), "https"))
	port := cmp.Or(roles.Text(role.Port), map[string]string{"http": "80"}[scheme], "443")
	origin := fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(roles.Text(role.Address)), port)
	if roles.Text(role.Address) == "" {
		origin = "destination " + roles.Text(role.Destination)
	}
	client := cmp.Or(roles.Prefix(role.Header)["sap-client"], "none")
	return fmt.Sprintf("%s, client %s, user %s", origin, client, cmp.Or(strings.ToUpper(roles.Text(role.User)), "none"))
}

// Claimed are a connector's claims with what the host puts before them.
func Claimed(c *config.Connector, component wit.Component, claims []string) []string {
	var all []string
	for _, claim := range claims {
		all = append(all, fmt.Sprintf("%q at %s", claim, holder(c, component)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ClaimedTwice is the fault of a connector that claims what another one has.
func ClaimedTwice(claim, first, second string) error {
	return &wit.Fault{Kind: wit.FaultConfig,
		Message: fmt.Sprintf("connectors %s and %s both claim %s, which only one connector of an "+
			"installation may have: %s does not start", first, second, claim, second)}
}

// rivals finds claims that a connector before this one has, by what plugins plan offline. A plan that fails is told at
// the start.
func (k *Checker) rivals(ctx context.Context, c *config.Connector) config.Problems {
	if !slices.ContainsFunc(k.Connectors, func(o *config.Connector) bool { return o.Name != c.Name }) {
		return nil
	}
	mine := k.claims(ctx, c)
	if len(mine) == 0 {
		return nil
	}
	for _, other := range k.Connectors {
		if other.Name == c.Name {
			return nil // those behind it are the second
		}
		for _, claim := range k.claims(ctx, other) {
			if slices.Contains(mine, claim) {
				return config.Problems{problem(entry(c, "connector.class"), ClaimedTwice(claim, other.Name, c.Name))}
			}
		}
	}
	return nil
}

// claims are those that the plugin of a connector plans, once for each.
func (k *Checker) claims(ctx context.Context, c *config.Connector) []string {
	if all, known := k.planned[c]; known {
		return all
	}
	all, err := k.plan(ctx, c)
	if err != nil {
		all = nil
	}
	if k.planned == nil {
		k.planned = map[*config.Connector][]string{}
	}
	k.planned[c] = all
	return all
}

func (k *Checker) plan(ctx context.Context, c *config.Connector) ([]string, error) {
	if err := c.Problems.Err(); err != nil {
		return nil, err
	}
	info, component, err := Find(k.Plugins, c.Text("connector.class"), c.Text("connector.plugin.version"),
		wit.ComponentSource)
	if err != nil {
		return nil, err
	}
	most, err := strconv.ParseUint(c.Text("tasks.max"), 10, 32)
	if err != nil {
		return nil, err
	}
	binding, err := k.Plugins.Bind(c.Name, component.Kind, component.Name, info.Version)
	if err != nil {
		return nil, err
	}
	defer binding.Close()
	guest := Guest(k.Plugins, binding.Current().Module(), component)
	var layout wit.Layout
	err = binding.Current().Do(ctx, func(i *plugin.Instance) error {
		layout, err = i.Plan(ctx, component.Name, guest.Settings(c), uint32(most))
		return err
	})
	return Claimed(c, component, layout.Claims), err
}
