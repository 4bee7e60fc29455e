package check

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Moved finds what keeps a source from going on at another origin than the one that before names: stored offsets that
// belong to that one, or to a third, where the plugin was not told what such an offset means. Else its tasks would be
// stopped for a configuration with which they cannot start. fingerprints are those of the stored offsets, and are asked
// for where the origin is another one.
func Moved(before, c *config.Connector, component wit.Component, fingerprints func() ([]string, error)) (
	problems config.Problems, err error) {
	undecided := unchanged(c, component)
	was, is := originOf(before, component), originOf(c, component)
	if len(undecided) == 0 || was == "" || is == "" || was == is {
		return nil, nil
	}
	stored, err := fingerprints()
	if err != nil {
		return nil, fmt.Errorf("whether the stored offsets belong to %s is not known: %w", is, err)
	}
	for _, fingerprint := range stored {
		of, some := originIn(fingerprint)
		if !some || of == is {
			continue
		}
		for _, e := range undecided {
			problems = append(problems, problem(e, fmt.Errorf("the stored offsets are of %s, and the connector is to "+
				"read %s: expected %s=keep, which goes on from them, or =reload, which reads everything again", of, is,
				e.Key)))
		}
		return problems, nil
	}
	return nil, nil
}

// ChangedBy is the setting by which a source is told what a stored offset of something else means, "" where there is
// none.
func ChangedBy(component wit.Component) string {
	i := slices.IndexFunc(component.Settings, func(s wit.SettingSpec) bool { return s.Role() == role.SourceChanged })
	if i < 0 {
		return ""
	}
	return component.Settings[i].Name
}

// unchanged are the settings by which a plugin is told what a stored offset of something else means, of those entity
// sets, or whatever a template stands for, where it is to fail. The template of the topics says which there are.
func unchanged(c *config.Connector, component wit.Component) (all []config.Entry) {
	d, name := config.DeclareComponent(component), ChangedBy(component)
	before, after, template := strings.Cut(name, "{n}")
	if name == "" {
		return nil
	}
	fails := func(key string) {
		e, given := c.Entry(key)
		if value := strings.TrimSpace(e.Value.Reveal()); !given || value == "" || strings.EqualFold(value, "fail") {
			e = entry(c, key)
			e.Key = key
			all = append(all, e)
		}
	}
	if !template {
		fails(name)
		return all
	}
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && spec.Role() == role.SourceTopic {
			if rest, ok := strings.CutPrefix(e.Key, before); ok {
				number, _, _ := strings.Cut(rest, ".")
				fails(before + number + after)
			}
		}
	}
	return all
}

// originIn is the origin that a fingerprint names, as NAME=URL.
func originIn(fingerprint string) (origin string, some bool) {
	for word := range strings.FieldsSeq(fingerprint) {
		_, value, _ := strings.Cut(word, "=")
		u, err := url.Parse(value)
		if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
			return originText(u.Scheme, u.Hostname(), u.Port()), true
		}
	}
	return "", false
}

// originOf is the origin that a connector's settings name, "" where a destination of BTP does.
func originOf(c *config.Connector, component wit.Component) string {
	roles := config.NewRoles(config.DeclareComponent(component), c)
	if roles.Text(role.Address) == "" {
		return ""
	}
	return originText(roles.Text(role.Scheme), roles.Text(role.Address), roles.Text(role.Port))
}

// originText is an origin with its port in any case.
func originText(scheme, host, port string) string {
	scheme = strings.ToLower(cmp.Or(scheme, "https"))
	port = cmp.Or(port, map[string]string{"http": "80"}[scheme], "443")
	return fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(host), port)
}
