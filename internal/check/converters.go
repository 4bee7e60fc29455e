package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/buildinfo"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/plugin/version"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// WorkerConverters returns warnings of settings that the worker's own converters do not declare. Values of declared
// settings are checked with each connector that uses them.
func WorkerConverters(w *config.Worker) config.Problems {
	var problems config.Problems
	for _, converter := range resolved.ConverterSettings {
		declared, err := resolved.ConverterOf(converter, w.Text(converter))
		if err != nil {
			continue // each connector that uses it reports this
		}
		for _, name := range slices.Sorted(maps.Keys(w.Prefixed(converter + "."))) {
			message := declared.UnknownWarning(name)
			if message == "" || name == converterVersion {
				continue
			}
			p := w.Problem(converter+"."+name, message)
			p.Code = setting.CodeUnknown
			p.Warning = true
			problems = append(problems, p)
		}
	}
	return problems
}

// converterVersion is the setting of a converter that Kafka Connect itself reads, not the converter.
const converterVersion = "plugin.version"

// checkConverters checks the settings of each converter and creates it, to find further problems, if they are valid.
// Problems of the worker's converters are reported at the setting that names the converter.
func (ch *Checker) checkConverters(connector *resolved.Connector) config.Problems {
	var problems config.Problems
	for _, converter := range resolved.ConverterSettings {
		class, settings := connector.Converter(converter)
		isKey := converter == resolved.KeyConverter
		declared, err := resolved.ConverterOf(converter, class)
		if err != nil {
			problems = append(problems, problem(entryFor(connector, converter), err))
			continue
		}
		invalid := false
		for _, value := range declared.Validate(settings, isKey) {
			entry := entryFor(connector, converter)
			if connector.Text(converter) != "" {
				if set, ok := connector.Entry(converter + "." + value.Key.Name); ok {
					entry = set
				} else {
					entry.Key += "." + value.Key.Name
				}
			}
			if isIgnored(connector, value) {
				problems = append(problems, warning(entry, "has no effect on a sink: it specifies how values are "+
					"written, and a sink only reads them"))
				continue
			}
			for _, message := range value.Errors {
				problems = append(problems, problem(entry, errors.New(message)))
				invalid = true
			}
		}
		if connector.Text(converter) != "" {
			problems = append(problems, unknownSettings(connector, converter+".", declared)...)
			// Converters are parts of the program: files from other workers name versions of Kafka or of Confluent,
			// which have no effect.
			entry := entryFor(connector, converter+"."+converterVersion)
			versions, err := version.ParseRange(settings[converterVersion])
			if err != nil {
				problems = append(problems, problem(entry, err))
			} else if only := buildinfo.REST(); !versions.Contains(only) {
				problems = append(problems, warning(entry, "has no effect: the only version of converters is "+only))
			}
		}
		if invalid {
			continue
		}
		options := convert.Options{IsKey: isKey, Schemas: ch.Registry.ForConnector(""),
			ReadOnly: connector.Class.Is(wit.ComponentSink)}
		if converter == resolved.HeaderConverter {
			_, err = convert.NewHeaders(class, settings, options)
		} else {
			_, err = convert.New(class, settings, options)
		}
		if err != nil {
			problems = append(problems, problem(entryFor(connector, converter), err))
		}
	}
	return problems
}

// PingRegistries sends a request to the schema registry of each converter of a connector. report receives the setting
// that names the registry, its URLs, separated by commas, and the error or nil.
func PingRegistries(ctx context.Context, connector *resolved.Connector, log *slog.Logger,
	report func(setting, urls string, err error)) {
	for _, converter := range []string{resolved.KeyConverter, resolved.ValueConverter} {
		class, settings := connector.Converter(converter)
		options := convert.Options{IsKey: converter == resolved.KeyConverter,
			Schemas: record.NewRegistry().ForConnector(""), ReadOnly: connector.Class.Is(wit.ComponentSink)}
		options.OpenRegistry = func(s registry.Settings) (*registry.Client, error) {
			client, err := resolved.OpenRegistry(ctx, s, log)
			if err == nil {
				err = client.Ping(ctx)
			}
			report(converter+".schema.registry.url", strings.Join(s.URLs, ","), err)
			return client, err
		}
		_, _ = convert.New(class, settings, options) // [Checker.Check] reports errors of the settings
	}
}

// CheckRegistries returns a warning of [setting.CodeNotChecked] for each schema registry that does not respond in time.
func (ch *Checker) CheckRegistries(ctx context.Context, connector *resolved.Connector) (warnings config.Problems) {
	ctx, cancel := context.WithTimeout(ctx, ch.Wait)
	defer cancel()
	PingRegistries(ctx, connector, ch.log(), func(name, _ string, err error) {
		if err != nil {
			w := warning(entryFor(connector, name), "not checked with the schema registry: "+err.Error())
			w.Code = setting.CodeNotChecked
			warnings = append(warnings, w)
		}
	})
	return warnings
}

// isIgnored reports whether an invalid value does not matter, because a sink writes nothing with a converter.
func isIgnored(connector *resolved.Connector, value wit.ConfigValue) bool {
	return connector.Class.Is(wit.ComponentSink) && len(value.Errors) > 0 && convert.IsWriteSetting(value.Key.Name)
}

// unknownSettings warns of a converter's undeclared settings, which have no effect.
func unknownSettings(connector *resolved.Connector, prefix string, declared convert.Declaration) config.Problems {
	var problems config.Problems
	for _, entry := range connector.Entries {
		name, ok := strings.CutPrefix(entry.Key, prefix)
		if !ok || name == converterVersion {
			continue
		}
		if message := declared.UnknownWarning(name); message != "" {
			p := warning(entry, message)
			p.Code = setting.CodeUnknown
			problems = append(problems, p)
		}
	}
	return problems
}

// ineffectiveSettings warns of settings of converters that the connector does not name: the worker's are used then.
func (ch *Checker) ineffectiveSettings(connector *resolved.Connector) config.Problems {
	var problems config.Problems
	for _, converter := range resolved.ConverterSettings {
		if entry, ok := connector.Entry(converter); ok && setting.Trim(entry.Raw) != "" {
			continue // the connector names a converter, even if that is a reference that cannot be resolved
		}
		for _, entry := range connector.Entries {
			if strings.HasPrefix(entry.Key, converter+".") {
				problems = append(problems, warning(entry, fmt.Sprintf("has no effect, as in Kafka Connect: this file "+
					"names no %s, so the worker's is used with the worker's settings. To use this setting, add "+
					"%[1]s=%[2]s", converter, ch.Worker.Text(converter))))
			}
		}
	}
	return problems
}
