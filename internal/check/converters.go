package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/components"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// WorkerConverters warns of settings of the worker's own converters that these do not declare. Their values are checked
// with each connector that names no converter: only there they count.
func WorkerConverters(w *config.Worker) config.Problems {
	var problems config.Problems
	for _, which := range components.ConverterSettings {
		declared, err := components.ConverterOf(which, w.Text(which))
		if err != nil {
			continue // the problem of the connectors that the worker's converter is for
		}
		for _, name := range slices.Sorted(maps.Keys(w.Prefixed(which + "."))) {
			text := declared.Unknown(name)
			if text == "" || name == converterVersion {
				continue
			}
			p := w.Problem(which+"."+name, text)
			p.Code, p.Warning = setting.CodeUnknown, true
			problems = append(problems, p)
		}
	}
	return problems
}

// converterVersion is the setting, below that of a converter, that Kafka Connect itself reads.
const converterVersion = "plugin.version"

// converters checks the converters: their settings one by one, then what only a converter itself sees. What the worker
// gives is the connector's problem under the name of the converter.
func (k *Checker) converters(c *config.Connector, component wit.Component) config.Problems {
	var problems config.Problems
	for _, which := range components.ConverterSettings {
		class, settings := c.Converter(which, k.Worker)
		key, header := which == components.KeyConverter, which == components.HeaderConverter
		declared, err := components.ConverterOf(which, class)
		if err != nil {
			problems = append(problems, problem(entryFor(c, which), err))
			continue
		}
		wrong := false
		for _, e := range declared.Examine(settings, key) {
			at := entryFor(c, which)
			if own, ok := c.Entry(which + "." + e.Key.Name); ok && c.Text(which) != "" {
				at = own
			} else if c.Text(which) != "" {
				at.Key += "." + e.Key.Name
			}
			if isIgnored(component, e) {
				problems = append(problems, warning(at, "has no effect on a sink: it says how values are written, and "+
					"a sink only reads them"))
				continue
			}
			for _, text := range e.Errors {
				problems, wrong = append(problems, problem(at, errors.New(text))), true
			}
		}
		if c.Text(which) != "" {
			problems = append(problems, unknownOf(c, which+".", declared)...)
		}
		if wrong {
			continue
		}
		use := convert.Use{Key: key, Schemas: k.Registry.For(""), Reading: component.Kind == wit.ComponentSink}
		if header {
			_, err = convert.NewHeaders(class, settings, use)
		} else {
			_, err = convert.New(class, settings, use)
		}
		if err != nil {
			problems = append(problems, problem(entryFor(c, which), err))
		}
	}
	return problems
}

// AskRegistries asks the schema registries of a connector's converters, each once, whether they answer its user. heard
// gets the setting that names the registry, its address, and why it does not.
func AskRegistries(ctx context.Context, w *config.Worker, c *config.Connector, reading bool, log *slog.Logger,
	report func(setting, at string, err error)) {
	for _, which := range []string{components.KeyConverter, components.ValueConverter} {
		class, settings := c.Converter(which, w)
		use := convert.Use{Key: which == components.KeyConverter, Schemas: record.NewRegistry().For(""),
			Reading: reading}
		use.Registry = func(s registry.Settings) (*registry.Client, error) {
			client, err := components.OpenRegistry(ctx, s, log)
			if err == nil {
				err = client.Ping(ctx)
			}
			report(which+".schema.registry.url", strings.Join(s.URLs, ","), err)
			return client, err
		}
		_, _ = convert.New(class, settings, use) // what is wrong with its settings is found by [Checker.Check]
	}
}

// Registries warns of schema registries that do not answer, of [setting.CodeUnasked].
func (k *Checker) Registries(ctx context.Context, c *config.Connector) (warnings config.Problems) {
	_, _, err := components.Find(k.Plugins, c.Text("connector.class"), "", wit.ComponentSink)
	ctx, cancel := context.WithTimeout(ctx, k.Wait)
	defer cancel()
	AskRegistries(ctx, k.Worker, c, err == nil, k.log(),
		func(name, _ string, err error) {
			if err != nil {
				w := warning(entryFor(c, name), "not checked with the schema registry: "+err.Error())
				w.Code = setting.CodeNotChecked
				warnings = append(warnings, w)
			}
		})
	return warnings
}

// isIgnored tells of a converter's setting in which something is wrong that it does not matter, since the connector is
// a sink.
func isIgnored(component wit.Component, e wit.ConfigValue) bool {
	return component.Kind == wit.ComponentSink && len(e.Errors) > 0 && convert.ForWriting(e.Key.Name)
}

// unknownOf warns of a converter's settings that it does not declare: Kafka Connect hands them on, and nobody reads
// them.
func unknownOf(c *config.Connector, prefix string, declared convert.Declaration) config.Problems {
	var problems config.Problems
	for _, e := range c.Entries {
		name, ok := strings.CutPrefix(e.Key, prefix)
		if !ok || name == converterVersion {
			continue
		}
		if text := declared.Unknown(name); text != "" {
			p := warning(e, text)
			p.Code = setting.CodeUnknown
			problems = append(problems, p)
		}
	}
	return problems
}

// ineffectiveSettings warns of settings of converters that the connector does not name: the worker's count, with the
// worker's settings.
func (k *Checker) ineffectiveSettings(c *config.Connector) config.Problems {
	var problems config.Problems
	for _, which := range components.ConverterSettings {
		if named, ok := c.Entry(which); ok && setting.Trim(named.Raw) != "" {
			continue // also where a reference stands for it that leads nowhere
		}
		for _, e := range c.Entries {
			if strings.HasPrefix(e.Key, which+".") {
				problems = append(problems, warning(e, fmt.Sprintf("has no effect, as in Kafka Connect: this file "+
					"names no %s, so that the worker's counts with the worker's settings. To have both here: "+
					"%[1]s=%[2]s", which, k.Worker.Text(which))))
			}
		}
	}
	return problems
}
