package transport

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/role"
)

// sapParameters are parameters by which SAP systems log on: client and language have settings of their own, and a
// refusal is noted for the user of settings.
var sapParameters = []string{sapClient, "sap-language", sapUser, sapPassword}

// queryBy reads the secrets that stand in the query from roles.
func queryBy(c *Config, roles Roles, _ Surroundings) error {
	secrets := roles.Prefix(role.Query)
	if len(secrets) == 0 {
		return nil
	}
	c.SecretQuery = secrets
	for _, name := range slices.Sorted(maps.Keys(c.SecretQuery)) {
		if slices.Contains(sapParameters, parameter(name)) {
			return wrong(roles, role.Query+name, "%s has a setting of its own, or none: expected another parameter",
				name)
		}
	}
	return nil
}

// withSecrets adds the secrets of the settings to the query of a request as it is sent.
func (d *destination) withSecrets(line string) string {
	if len(d.config.SecretQuery) == 0 {
		return line
	}
	secrets := url.Values{}
	for name, value := range d.config.SecretQuery {
		secrets.Set(name, value)
	}
	return addQuery(line, secrets)
}

// withoutSecrets takes from a line the parameters that settings give a secret value: a link of a service may repeat
// them, and what stands there is shown. What is left stays byte for byte as it was.
func (d *destination) withoutSecrets(line string) string {
	path, query, asks := strings.Cut(line, "?")
	if !asks || len(d.config.SecretQuery) == 0 {
		return line
	}
	var left []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if _, secret := d.config.SecretQuery[unescapedOnce(name)]; !secret {
			left = append(left, pair)
		}
	}
	if len(left) == 0 {
		return path
	}
	return path + "?" + strings.Join(left, "&")
}

func unescapedOnce(name string) string {
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// secretPairs are the parameters with a secret value as they may stand in a link.
func (d *destination) secretPairs() (pairs []string) {
	for name, value := range d.config.SecretQuery {
		for _, n := range []string{name, url.QueryEscape(name)} {
			for _, v := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
				pairs = append(pairs, n+"="+v)
			}
		}
	}
	slices.Sort(pairs)
	return slices.Compact(pairs)
}

// longSecret is how long a secret is that is hidden in the text of a refusal.
const longSecret = 8

// hides are the texts that a guest is not to see in the body of an answer: parameters with a secret value, which links
// repeat; and in refusals, which like to say what was asked, the secrets themselves. Of other bodies they may be data.
func (d *destination) hides(status int, secrets []string) []string {
	texts := d.secretPairs()
	if status < 400 {
		return texts
	}
	for _, s := range secrets {
		if len(s) >= longSecret {
			texts = append(texts, s)
		}
	}
	return texts
}

// queryIdentity is a secret in the query as one by which refusals are remembered.
func queryIdentity(id Identity, query map[string]string) Identity {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		id.Secret += "?" + name + "=" + query[name] + "\n"
	}
	return id
}
