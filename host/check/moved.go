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

// Moved finds what keeps a source from going on at another system than the one that before names: stored offsets that
// belong to that one, or to a third, where no setting says what such an offset means. Else its tasks would be
// stopped for a configuration with which they cannot start. fingerprints are those of the stored offsets, and are asked
// for where the system is another one.
func Moved(before, c *config.Connector, component wit.Component, fingerprints func() ([]string, error)) (
	problems config.Problems, err error) {
	undecided := unchanged(c, component)
	was, is := systemOf(before, component), systemOf(c, component)
	if len(undecided) == 0 || was.origin == "" || is.origin == "" || was == is {
		return nil, nil
	}
	stored, err := fingerprints()
	if err != nil {
		return nil, fmt.Errorf("whether the stored offsets belong to %s is not known: %w", is, err)
	}
	for _, fingerprint := range stored {
		of := is.in(fingerprint)
		if of == is {
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

// ChangedBy is the setting that says what a stored offset of something else means, "" where there is
// none.
func ChangedBy(component wit.Component) string {
	i := slices.IndexFunc(component.Settings, func(s wit.ConfigKey) bool { return s.Role() == role.SourceChanged })
	if i < 0 {
		return ""
	}
	return component.Settings[i].Name
}

// unchanged are the settings that say what a stored offset of something else means, of those entity
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

// system is what a connector talks to: an origin, or a destination of BTP as destination:NAME, and there a SAP client,
// "" for the system's own.
type system struct{ origin, client string }

func (s system) String() string { return s.origin + ", client " + cmp.Or(s.client, "none") }

// in is the system that a fingerprint names, as NAME=URL or NAME=destination:NAME, and client=CLIENT: what it does not
// name is taken for the same.
func (s system) in(fingerprint string) system {
	for word := range strings.FieldsSeq(fingerprint) {
		name, value, _ := strings.Cut(word, "=")
		u, err := url.Parse(value)
		switch {
		case name == "client":
			s.client = value
		case strings.HasPrefix(value, destination):
			s.origin = value
		case err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"):
			s.origin = originText(u.Scheme, u.Hostname(), u.Port())
		}
	}
	return s
}

// destination stands before the name of a destination of BTP.
const destination = "destination:"

// systemOf is the system that a connector's settings name; its origin is "" where nothing names one.
func systemOf(c *config.Connector, component wit.Component) system {
	return systemBy(c.Roles(component))
}

// Origin is the origin or the destination of BTP that a connector's settings name, "" where nothing names one.
func Origin(c *config.Connector, declared *config.Declarations) string {
	return systemBy(config.NewRoles(declared, c)).origin
}

// systemBy is the system that roles name.
func systemBy(roles config.Roles) system {
	s := system{client: roles.Prefix(role.Header)["sap-client"]}
	if roles.Text(role.Address) != "" {
		s.origin = originText(roles.Text(role.Scheme), roles.Text(role.Address), roles.Text(role.Port))
	} else if name := roles.Text(role.Destination); name != "" {
		s.origin = destination + name
	}
	return s
}

// originText is an origin with its port in any case.
func originText(scheme, host, port string) string {
	scheme = strings.ToLower(cmp.Or(scheme, "https"))
	port = cmp.Or(port, map[string]string{"http": "80"}[scheme], "443")
	return fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(host), port)
}
