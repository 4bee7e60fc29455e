package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// ErrUnknownPlugin means that no plugin has the class, and no converter either.
var ErrUnknownPlugin = errors.New("there is no such plugin")

// ErrVersion means that a class exists only in other versions. Its text is Kafka Connect's.
type ErrVersion struct {
	Class     string
	Version   string
	Available []string
}

func (e *ErrVersion) Error() string {
	return fmt.Sprintf("Plugin %s not found that matches the version range [%s,%s], available versions: [%s]", e.Class,
		e.Version, e.Version, strings.Join(e.Available, ", "))
}

// Definitions returns the declared settings of a class. For a connector they include the settings of all connectors. A
// nil version means the newest one; the only version of converters is workerVersion. Errors are [ErrUnknownPlugin] and
// [ErrVersion].
func (ch *Checker) Definitions(class string, version *string, workerVersion string) ([]Definition, error) {
	connectorKinds := []wit.ComponentKind{wit.ComponentSource, wit.ComponentSink}
	for _, kinds := range [][]wit.ComponentKind{connectorKinds,
		{wit.ComponentTransformation}, {wit.ComponentPredicate}} {
		info, component, err := components.Find(ch.Plugins, class, "", kinds...)
		if err != nil {
			continue
		}
		if version != nil && *version != info.Version {
			if *version == "" {
				return nil, ch.versionError(component.Name, "", kinds)
			}
			class := component.Name
			if info, component, err = components.Find(ch.Plugins, class, *version, kinds...); err != nil {
				return nil, ch.versionError(class, *version, kinds)
			}
		}
		isConnector := slices.Contains(kinds, wit.ComponentSink)
		definitions := newDefinitions(config.DeclareComponent(component).Keys(), false)
		if isConnector {
			for _, definition := range newDefinitions(ch.common(info, component), true) {
				name := strings.TrimSuffix(definition.Name, "."+converterVersion)
				if slices.Contains(components.ConverterSettings, name) {
					definition.DefaultValue = nil // the default is the worker's, not the class's
				}
				isSame := func(other Definition) bool { return other.Name == definition.Name }
				if !slices.ContainsFunc(definitions, isSame) {
					definitions = append(definitions, definition)
				}
			}
		}
		return definitions, nil
	}
	specs := []wit.ConfigKey{}
	if converter, err := convert.Find(class, false); err == nil {
		class = converter.Class
		specs = converter.Settings()
	} else if class = setting.Trim(class); class != config.HeaderConverter && class != simpleHeaderConverter {
		return nil, ErrUnknownPlugin
	}
	if version != nil && *version != workerVersion {
		return nil, &ErrVersion{Class: class, Version: *version, Available: []string{workerVersion}}
	}
	return newDefinitions(specs, false), nil
}

// simpleHeaderConverter is the class of the default header converter without its package.
var simpleHeaderConverter = config.HeaderConverter[strings.LastIndexByte(config.HeaderConverter, '.')+1:]

func newDefinitions(specs []wit.ConfigKey, isCommon bool) []Definition {
	definitions := make([]Definition, 0, len(specs))
	for _, spec := range specs {
		definitions = append(definitions, newDefinition(spec, "", isCommon))
	}
	return definitions
}

func (ch *Checker) versionError(class, version string, kinds []wit.ComponentKind) error {
	return &ErrVersion{Class: class, Version: version, Available: ch.versions(class, kinds...)}
}

// DescribeKind describes the values of a setting: their kind and bounds.
func DescribeKind(spec *wit.ConfigKey) string {
	parts := []string{KindName(spec.Kind)}
	r, _ := role.Find(spec.Role())
	if (r.Name == role.Address || r.Name == role.Port) && !setting.IsRequired(spec) && (spec.DefaultValue == nil ||
		!r.AcceptsDefault(*spec.DefaultValue)) {
		parts = append(parts, "required unless a destination specifies it")
	}
	for _, r := range spec.Rules {
		switch {
		case r.Required != nil:
			parts = slices.Insert(parts, 0, "required")
		case r.Allowed != nil:
			parts = append(parts, "one of "+strings.Join(*r.Allowed, ", "))
		case r.AtLeast != nil:
			parts = append(parts, fmt.Sprintf("at least %d", *r.AtLeast))
		case r.AtMost != nil:
			parts = append(parts, fmt.Sprintf("at most %d", *r.AtMost))
		}
	}
	return strings.Join(parts, ", ")
}
