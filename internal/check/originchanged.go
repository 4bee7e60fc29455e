package check

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// OriginChanged returns the problems of a source that would read another system than before, although its stored
// offsets belong to the previous one and no setting decides what happens to them: its tasks could not start.
// fingerprints returns those of the stored offsets; it is only called if the system differs.
func OriginChanged(before, connector *config.Connector, component wit.Component,
	fingerprints func() ([]string, error)) (problems config.Problems, err error) {
	undecided := undecidedSettings(connector, component)
	was := components.SystemOf(before, component)
	after := components.SystemOf(connector, component)
	if len(undecided) == 0 || was.Origin == "" || after.Origin == "" || was == after {
		return nil, nil
	}
	stored, err := fingerprints()
	if err != nil {
		return nil, fmt.Errorf("cannot determine whether the stored offsets belong to %s: %w", after, err)
	}
	for _, fingerprint := range stored {
		system := after.WithFingerprint(fingerprint)
		if system == after {
			continue
		}
		for _, entry := range undecided {
			problems = append(problems, problem(entry,
				fmt.Errorf("the stored offsets belong to %s, but the connector would "+
					"read %s: set %s=keep to continue from them, or =reload to read everything again",
					system, after, entry.Key)))
		}
		return problems, nil
	}
	return nil, nil
}

// undecidedSettings returns the settings, one for each entity set, that decide what happens to an offset of another
// system, and that are set to fail. The settings of the topics name the entity sets of a template.
func undecidedSettings(connector *config.Connector, component wit.Component) (all []config.Entry) {
	declarations := config.DeclareComponent(component)
	name := components.OriginChangeSetting(component)
	before, after, template := strings.Cut(name, "{n}")
	if name == "" {
		return nil
	}
	fails := func(key string) {
		entry, isSet := connector.Entry(key)
		if value := strings.TrimSpace(entry.Value.Reveal()); !isSet || value == "" || strings.EqualFold(value, "fail") {
			entry = entryFor(connector, key)
			entry.Key = key
			all = append(all, entry)
		}
	}
	if !template {
		fails(name)
		return all
	}
	for _, entry := range connector.Entries {
		if spec, ok := declarations.Find(entry.Key); ok && spec.Role() == role.SourceTopic {
			if rest, ok := strings.CutPrefix(entry.Key, before); ok {
				number, _, _ := strings.Cut(rest, ".")
				fails(before + number + after)
			}
		}
	}
	return all
}
