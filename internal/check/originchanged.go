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
func OriginChanged(before, connector *config.Connector, component wit.Component,
	fingerprints func() ([]string, error)) (
	problems config.Problems, err error) {
	undecided := undecidedSettings(connector, component)
	was, after := components.SystemOf(before, component), components.SystemOf(connector, component)
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

// undecidedSettings are the settings that say what a stored offset of something else means, of those entity
// sets, or whatever a template stands for, where it is to fail. The template of the topics says which there are.
func undecidedSettings(connector *config.Connector, component wit.Component) (all []config.Entry) {
	declarations, name := config.DeclareComponent(component), components.OriginChangeSetting(component)
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
