package check

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// OriginChanged finds what keeps a source from going on at another system than the one that before names: stored
// offsets that belong to that one, or to a third, where no setting says what such an offset means. Else its tasks would
// be stopped for a configuration with which they cannot start. fingerprints are those of the stored offsets, and are
// asked for where the system is another one.
func OriginChanged(before, c *config.Connector, component wit.Component, fingerprints func() ([]string, error)) (
	problems config.Problems, err error) {
	undecided := undecidedSettings(c, component)
	was, is := components.SystemOf(before, component), components.SystemOf(c, component)
	if len(undecided) == 0 || was.Origin == "" || is.Origin == "" || was == is {
		return nil, nil
	}
	stored, err := fingerprints()
	if err != nil {
		return nil, fmt.Errorf("whether the stored offsets belong to %s is not known: %w", is, err)
	}
	for _, fingerprint := range stored {
		system := is.ByFingerprint(fingerprint)
		if system == is {
			continue
		}
		for _, e := range undecided {
			problems = append(problems, problem(e, fmt.Errorf("the stored offsets are of %s, and the connector is to "+
				"read %s: expected %s=keep, which goes on from them, or =reload, which reads everything again", system,
				is,
				e.Key)))
		}
		return problems, nil
	}
	return nil, nil
}

// undecidedSettings are the settings that say what a stored offset of something else means, of those entity
// sets, or whatever a template stands for, where it is to fail. The template of the topics says which there are.
func undecidedSettings(c *config.Connector, component wit.Component) (all []config.Entry) {
	d, name := config.DeclareComponent(component), components.ChangedBy(component)
	before, after, template := strings.Cut(name, "{n}")
	if name == "" {
		return nil
	}
	fails := func(key string) {
		e, given := c.Entry(key)
		if value := strings.TrimSpace(e.Value.Reveal()); !given || value == "" || strings.EqualFold(value, "fail") {
			e = entryFor(c, key)
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
