package check

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// OriginChanged returns the problems of a source that would read another system than before, although its stored
// offsets belong to the previous one and no setting decides what happens to the offsets: its tasks could not start.
// fingerprints returns the fingerprints of the stored offsets; it is only called if the system differs.
func OriginChanged(previous, connector *resolved.Connector,
	fingerprints func() ([]string, error)) (problems config.Problems, err error) {
	undecided := undecidedSettings(connector)
	oldSystem := previous.System()
	newSystem := connector.System()
	if len(undecided) == 0 || oldSystem.Origin == "" || newSystem.Origin == "" || oldSystem == newSystem {
		return nil, nil
	}
	storedFingerprints, err := fingerprints()
	if err != nil {
		return nil, fmt.Errorf("cannot determine whether the stored offsets belong to %s: %w", newSystem, err)
	}
	for _, fingerprint := range storedFingerprints {
		storedSystem := newSystem.WithFingerprint(fingerprint)
		if storedSystem == newSystem {
			continue
		}
		for _, entry := range undecided {
			problems = append(problems, problem(entry,
				fmt.Errorf("the stored offsets belong to %s, but the connector would "+
					"read %s: set %s=keep to continue from them, or =reload to read everything again",
					storedSystem, newSystem, entry.Key)))
		}
		return problems, nil
	}
	return nil, nil
}

// undecidedSettings returns an entry for each setting that decides what happens to an offset of another system and
// whose value is "fail", its default. A template has such a setting for each entity set that has a topic.
func undecidedSettings(connector *resolved.Connector) (undecided []config.Entry) {
	name := connector.OriginChangeSetting()
	prefix, suffix, isTemplate := strings.Cut(name, "{n}")
	if name == "" {
		return nil
	}
	addUndecided := func(key string) {
		entry, _ := connector.Entry(key)
		if value := strings.TrimSpace(entry.Value.Reveal()); value == "" || strings.EqualFold(value, "fail") {
			entry = entryFor(connector, key)
			entry.Key = key
			undecided = append(undecided, entry)
		}
	}
	if !isTemplate {
		addUndecided(name)
		return undecided
	}
	for entry, spec := range connector.Declared() {
		if spec.Role() == role.SourceTopic {
			if remaining, ok := strings.CutPrefix(entry.Key, prefix); ok {
				number, _, _ := strings.Cut(remaining, ".")
				addUndecided(prefix + number + suffix)
			}
		}
	}
	return undecided
}
