package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin/version"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// ErrUnknownPlugin means that no plugin has the class, and no converter either.
var ErrUnknownPlugin = errors.New("there is no such plugin")

// ErrVersion means that a class exists only in other versions. Its text is Kafka Connect's.
type ErrVersion struct {
	Class     string
	Range     string
	Available []string
}

func (e *ErrVersion) Error() string {
	return fmt.Sprintf("Plugin %s not found that matches the version range %s, available versions: [%s]", e.Class,
		e.Range, strings.Join(e.Available, ", "))
}

// Definitions returns the declared settings of a class. For a connector they include the settings of all connectors.
// requested is a range, see [version.ParseRange], but the empty one contains no version, as in Kafka Connect. Nil
// means the newest version. The only version of converters is workerVersion. Errors are [ErrUnknownPlugin] and
// [ErrVersion].
func (ch *Checker) Definitions(class string, requested *string, workerVersion string) ([]Definition, error) {
	spec := "latest"
	if requested != nil {
		spec = *requested
	}
	versions, err := version.ParseRange(spec)
	isEmpty := err != nil || spec == ""
	missing := &ErrVersion{Range: cmp.Or(versions.String(), spec, "[,]")}
	connectorKinds := []wit.ComponentKind{wit.ComponentSource, wit.ComponentSink}
	for _, kinds := range [][]wit.ComponentKind{connectorKinds,
		{wit.ComponentTransformation}, {wit.ComponentPredicate}} {
		_, newest, err := resolved.Find(ch.Plugins, class, "", kinds...)
		if err != nil {
			continue
		}
		info, component, err := resolved.Find(ch.Plugins, newest.Name, spec, kinds...)
		if err != nil || isEmpty {
			missing.Class = newest.Name
			missing.Available = ch.versions(newest.Name, kinds...)
			return nil, missing
		}
		isConnector := slices.Contains(kinds, wit.ComponentSink)
		definitions := newDefinitions(component.Table().Keys(), false)
		if isConnector {
			for _, definition := range newDefinitions(ch.common(info.Version, component.Kind), true) {
				name := strings.TrimSuffix(definition.Name, "."+converterVersion)
				if slices.Contains(resolved.ConverterSettings, name) {
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
	if isEmpty || !versions.Contains(workerVersion) {
		missing.Class = class
		missing.Available = []string{workerVersion}
		return nil, missing
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

// DescribeKind describes the values of a setting: their kind and bounds.
func DescribeKind(spec *wit.ConfigKey) string {
	parts := []string{KindName(spec.Kind)}
	definition, _ := role.Find(spec.Role())
	isEndpoint := definition.Name == role.Address || definition.Name == role.Port
	if isEndpoint && !setting.IsRequired(spec) && !hasDefault(spec) {
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
